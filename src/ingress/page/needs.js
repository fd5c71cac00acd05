/* What only a person can settle: each reason once, with its runs, and what to do. */

import { abandonAll, abandon, cancel, cancelAll, resolve, resolveAll, retry, retryAll } from './actions.js';
import { el, empty, link, short } from './dom.js';
import { redraw } from './place.js';
import { aged, plural, state } from './words.js';

const open = new Set();

/* SQL in a remedy is to be copied, the rest to be read */
export function remedy(text) {
	return String(text || '').split(/(SELECT dataflows\.[^;]*;)/).filter(t => t.trim()).map(t =>
		t.startsWith('SELECT ') ? short(t) : el('span', {}, t));
}

const linkTo = r => link('#/run/' + r.run, r.key || el('span', { class: 'id' }, r.run));

function pendingRow(g, s) {
	const r = { run: s.run, key: s.key, workflow: g.workflow };
	return el('li', { key: s.run + s.n }, el('span', { class: 'who' }, linkTo(r), el('span', { class: 'soft' }, s.step)),
		el('code', {}, s.undo_failed && s.undo || s.request || ''), el('span', {}, aged(s.since)), resolve(r, { ...s, why: g.why }));
}

function runRow(g, s) {
	const r = { run: s.run, key: s.key, workflow: g.workflow };
	return el('li', { key: s.run }, el('span', { class: 'who' }, linkTo(r)), el('span', {}, aged(s.since)), g.n > 1 ? retry(r) : null);
}

function list(id, g, rows) {
	if (g.n <= 3) return el('ul', { class: 'rows' }, rows);
	return el('details', { open: open.has(id), ontoggle: event => {
		if (event.currentTarget.open === open.has(id)) return;
		if (event.currentTarget.open) open.add(id); else open.delete(id);
		redraw();
	} }, el('summary', {}, g.n > rows.length ? 'The newest ' + rows.length + ' of ' + g.n : 'All ' + g.n), open.has(id) ? el('ul', { class: 'rows' }, rows) : null);
}

const count = g => plural(g.n, 'run') + ' of ';
const ages = g => [' · ', g.n > 1 ? 'the oldest ' : '', aged(g.oldest), g.n > 1 ? [', the newest ', aged(g.newest)] : null];

function head(g, reason, sign) {
	return [el('h2', {}, state(sign), ' ', reason),
		el('p', { class: 'soft' }, count(g), link('#/runs?' + new URLSearchParams({ workflow: g.workflow, state: 'stuck' }), g.workflow), ages(g))];
}

/* steps in doubt and undos that failed */
function pendingGroup(g) {
	const id = 'p' + g.workflow + g.step + g.why;
	return el('section', { class: 'card need', key: id, 'aria-label': g.step }, head(g, [el('strong', {}, g.step), g.system ? ' in ' + g.system : '', ': ' + g.why], g.undo_failed ? 'undo_failed' : 'in_doubt'),
		el('p', {}, g.undo_failed ? 'What it made is still there. Undo it by hand and say so, or repair the cause and retry the run.'
			: 'Look in ' + (g.system || 'the system') + ' whether it was carried out, and say what you have found.'),
		g.n > 1 ? el('div', { class: 'actions' }, resolveAll(g)) : null, list(id, g, g.runs.map(s => pendingRow(g, s))));
}

function stuckGroup(g) {
	const id = 's' + g.workflow + g.sqlstate + g.reason;
	const one = { ...g.runs[0], workflow: g.workflow };
	return el('section', { class: 'card need', key: id, 'aria-label': g.reason }, head(g, el('strong', {}, g.reason), 'stuck'), g.remedy ? el('p', { class: 'remedy' }, remedy(g.remedy)) : null,
		el('div', { class: 'actions' }, g.n > 1 ? [retryAll(g), cancelAll(g), abandonAll(g)] : [retry(one, true), cancel(one), abandon(one)]),
		list(id, g, g.runs.map(s => runRow(g, s))));
}

export const needs = {
	title: 'Needs a person',
	ask: () => ({ stuck: ['stuck'], pending: ['pending'] }),
	draw({ stuck, pending }) {
		/* a run that is stuck because of such a step is shown there */
		const settled = new Set(pending.flatMap(g => g.runs.map(s => s.run)));
		const rest = stuck.filter(g => g.n > g.runs.length || !g.runs.every(s => settled.has(s.run)));
		const n = rest.length + pending.length;
		if (n === 0) return [el('h1', {}, 'Needs a person'), empty('Nothing needs a person', 'Runs come here when the engine cannot decide without you: a step in doubt, an undo that failed, an error in a body.')];
		return [el('h1', {}, 'Needs a person'), el('p', { class: 'lead' }, plural(n, 'reason') + '. Settle the cause, then say so here.'),
			pending.map(pendingGroup), rest.map(stuckGroup)];
	},
};
