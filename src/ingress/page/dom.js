/* Elements, and values as people read them.  What comes from the server is only ever inserted as text. */

const svgNS = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
	for (const [key, value] of Object.entries(attributes || {})) {
		if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
		else if (value === true) node.setAttribute(key, '');
		else if (value !== false && value != null) node.setAttribute(key, value);
	}
	node.append(...children.flat(Infinity).filter(c => c != null && c !== ''));
	return node;
}

export const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
export const svg = (name, attributes, ...children) => fill(document.createElementNS(svgNS, name), attributes, children);
export const link = (href, ...text) => el('a', { href }, text);
export const button = (label, onclick) => el('button', { type: 'button', onclick }, label);

/* ---- values ---- */

export function span(ms) {
	if (ms < 1000) return Math.round(ms) + ' ms';
	if (ms < 120e3) return (ms / 1000).toFixed(1) + ' s';
	if (ms < 7200e3) return Math.round(ms / 60e3) + ' min';
	return ms < 172800e3 ? Math.round(ms / 3600e3) + ' h' : Math.round(ms / 86400e3) + ' days';
}

export const millis = t => new Date(t).getTime();

export function time(t) {
	if (!t) return null;
	if (isNaN(millis(t))) return t; // infinity
	const parts = { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' };
	return el('time', { datetime: t, title: t, class: 'time' }, new Date(t).toLocaleString([], parts));
}

export function block(value) {
	if (value == null) return null;
	let text = value;
	if (typeof value !== 'string') text = JSON.stringify(value, null, 2);
	else try { text = JSON.stringify(JSON.parse(value), null, 2); } catch { /* no JSON: as it is */ }
	return el('pre', { tabindex: 0 }, text);
}

/* a state is told by a sign and a word; colour only repeats it */
const signs = {
	completed: ['✓', 'good'], done: ['✓', 'good'], closed: ['✓', 'good'],
	stuck: ['!', 'bad'], undo_failed: ['!', 'bad'], in_doubt: ['?', 'bad'],
	failed: ['✕', 'bad'], open: ['✕', 'bad'], abandoned: ['⊘', 'bad'],
	undone: ['↶', 'warn'], rolling_back: ['↶', 'warn'], rolled_back: ['↶', 'warn'],
	cancelled: ['⊘', 'warn'], half_open: ['◐', 'warn'], paused: ['‖', 'warn'],
	waiting: ['…', ''], queued: ['·', ''], running: ['▸', ''],
};
export const sign = s => (signs[s] || ['·'])[0];

export function state(s) {
	if (s == null) return null;
	const [mark, colour] = signs[s] || ['', ''];
	return el('span', { class: 'state ' + colour }, (mark + ' ' + s).trim());
}

export const runLink = r =>
	el('a', { href: '#/run/' + encodeURIComponent(r.run), class: 'id', title: r.run }, r.key || '…' + r.run.slice(-12));

/* ---- cards and tables ---- */

/* wider than a phone: it can be scrolled, by keys as well */
export const chart = (name, ...children) => el('div', { class: 'card chart', role: 'group', 'aria-label': name, tabindex: 0 }, children);

export function table(caption, heads, rows, empty) {
	if (!rows.length) return el('p', { class: 'card soft' }, empty);
	const cell = (value, i) =>
		el('td', { 'data-label': heads[i] }, value == null || value === '' ? null : el('span', {}, value));
	return el('div', { class: 'wide', tabindex: 0, role: 'group', 'aria-label': caption }, el('table', { class: 'stack', 'aria-label': caption },
		el('thead', {}, el('tr', {}, heads.map(h => el('th', { scope: 'col' }, h)))),
		el('tbody', {}, rows.map(row => el('tr', {}, row.map(cell))))));
}
