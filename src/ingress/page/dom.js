/*
 * Elements, and how a view is drawn anew.  What comes from the server is only ever inserted
 * as text.  A view is made whole each time; patch() then changes only what differs, so that
 * selections, focus, scrolling and what was opened stay as they are.
 */

/* what turns the direction of the text behind it is shown as an escape: a key must not reorder what a dialog says */
const seen = c => typeof c === 'string' ? c.replace(/[\u202a-\u202e\u2066-\u2069]/g, x => '\\u' + x.charCodeAt(0).toString(16)) : c;

const dispatch = event => event.currentTarget.handlers[event.type]?.(event);

/*
 * Attributes, but for: on<event>; key, by which patch() knows an element again; style, an
 * object; drawn, called with the element in the document each time it was drawn; kept: what
 * is inside belongs to drawn().
 */
export function el(name, attributes, ...children) {
	const node = document.createElement(name);
	node.handlers = {};
	for (const [key, value] of Object.entries(attributes || {})) {
		if (value === false || value == null) continue;
		if (key.startsWith('on')) {
			node.handlers[key.slice(2)] = value;
			node.addEventListener(key.slice(2), dispatch);
		} else if (key === 'style') Object.assign(node.style, value);
		else if (key === 'key' || key === 'drawn' || key === 'kept') node[key === 'key' ? 'rowKey' : key] = value;
		else node.setAttribute(key, value === true ? '' : value);
	}
	node.append(...children.flat(Infinity).filter(c => c != null && c !== false && c !== '').map(seen));
	return node;
}

export const link = (href, ...text) => el('a', { href }, text);
export const button = (label, onclick, more) => el('button', { type: 'button', onclick, ...more }, label);

/* ---- drawing anew ---- */

function become(have, want, anew) {
	if (have.nodeType !== Node.ELEMENT_NODE) {
		if (have.data !== want.data) have.data = want.data;
		return;
	}
	for (const { name, value } of want.attributes)
		if (name !== 'style' && have.getAttribute(name) !== value) have.setAttribute(name, value);
	for (const { name } of [...have.attributes])
		if (name !== 'style' && !want.hasAttribute(name)) have.removeAttribute(name);
	if (have.style.cssText !== want.style.cssText) have.style.cssText = want.style.cssText;
	for (const type of Object.keys(want.handlers))
		if (!have.handlers[type]) have.addEventListener(type, dispatch);
	have.handlers = want.handlers;
	have.drawn = want.drawn;
	if (!want.kept) children(have, want, anew);
	/* what a person has typed or chosen stays, unless another place was gone to */
	if (anew && have.name && 'value' in have && have.value !== want.value) have.value = want.value;
	if (have.type === 'checkbox') have.checked = want.hasAttribute('checked');
}

const alike = (a, b) => a.nodeName === b.nodeName && a.rowKey === b.rowKey;

function children(parent, fresh, anew) {
	const wanted = [...fresh.childNodes];
	const keys = new Set(wanted.map(n => n.rowKey).filter(k => k != null));
	const known = new Map([...parent.childNodes].filter(n => n.rowKey != null).map(n => [n.rowKey, n]));
	let at = parent.firstChild;
	const skip = () => {
		const gone = at;
		at = at.nextSibling;
		gone.remove();
	};
	for (const want of wanted) {
		while (at && at.rowKey != null && !keys.has(at.rowKey)) skip();
		let have = want.rowKey != null ? known.get(want.rowKey) : at;
		if (!have || !alike(have, want)) {
			parent.insertBefore(want, at);
			continue;
		}
		if (have === at) at = at.nextSibling;
		else parent.insertBefore(have, at);
		become(have, want, anew);
	}
	while (at) skip();
}

/* the children of parent become those of fresh; anew: it is another view */
export function patch(parent, fresh, anew) {
	children(parent, fresh, anew);
	for (const node of parent.querySelectorAll('*')) node.drawn?.(node);
}

/* ---- what is used all over ---- */

export function block(value) {
	if (value == null) return null;
	let text = value;
	if (typeof value !== 'string') text = JSON.stringify(value, null, 2);
	else try { text = JSON.stringify(JSON.parse(value), null, 2); } catch { /* no JSON: as it is */ }
	return el('div', { class: 'code' }, copy(text), el('pre', { tabindex: 0 }, text));
}

export function copy(text, what = 'Copy') {
	const said = async event => {
		const mark = event.currentTarget;
		try {
			await navigator.clipboard.writeText(text);
			mark.textContent = 'Copied';
		} catch { /* not allowed over plain HTTP: it is selected, to be copied by hand */
			const beside = mark.parentElement.querySelector('pre,code');
			if (beside) getSelection().selectAllChildren(beside);
			mark.textContent = 'Selected';
		}
		setTimeout(() => { mark.textContent = what; }, 1500);
	};
	return button(what, said, { class: 'copy' });
}

export const short = text => el('span', { class: 'copied' }, el('code', {}, text), copy(text));

export function facts(list) {
	return el('dl', { class: 'facts' }, Object.entries(list).filter(f => f[1] != null && f[1] !== '')
		.map(f => el('div', {}, el('dt', {}, f[0]), el('dd', {}, f[1]))));
}

export const empty = (title, ...words) => el('div', { class: 'card empty' }, el('h2', {}, title), el('p', {}, words));

/*
 * On a phone each row is a card.  heads: names, rows: { key, cells }; more.plain: the first cell
 * is no name of its row, more.trim: without columns in which there is nothing.
 */
export function table(caption, heads, rows, more) {
	const none = v => v == null || v === '';
	if (more?.trim) {
		const used = heads.map((h, i) => i === 0 || rows.some(r => !none(r.cells[i])));
		return table(caption, heads.filter((h, i) => used[i]), rows.map(r => ({ ...r, cells: r.cells.filter((c, i) => used[i]) })), { ...more, trim: false });
	}
	const cell = (value, i) => el(i === 0 && !more?.plain ? 'th' : 'td', { scope: i === 0 && !more?.plain ? 'row' : null, 'data-label': heads[i] },
		Array.isArray(value) ? el('span', {}, value) : value);
	return el('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': caption }, el('table', { class: 'cards', 'aria-label': caption },
		el('thead', {}, el('tr', {}, heads.map(h => el('th', { scope: 'col' }, h)))),
		el('tbody', {}, rows.map(r => el('tr', { key: r.key, class: r.class }, r.cells.map(cell))))));
}
