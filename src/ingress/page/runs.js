/* The list of runs: how many are in which state, filters, search, and what is asked of several at once. */

import { cancelThese, retryThese } from './actions.js';
import { button, el, link, table } from './dom.js';
import { address, go, place, redraw } from './place.js';
import { forget, further, search, stop } from './search.js';
import { about, aged, clock, millis, now, plural, span, state, stateNames, timeless, word } from './words.js';

const within = { hour: 3600e3, day: 86400e3, week: 604800e3 };
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const always = ['running', 'waiting', 'stuck', 'completed'];		/* these, even if there are none */
const chosen = new Map();		/* run -> row */
let chosenIn = '';			/* the filters with which they were chosen */

/* whole minutes, so that the same question can be answered by "the same" */
function since(q) {
	const ms = within[q.within];
	return ms && new Date(Math.floor((now() - ms) / 60e3) * 60e3).toISOString();
}

/* ---- filters ---- */

function chips(q, counts) {
	const of = {};
	for (const c of counts) if (!q.workflow || c.workflow === q.workflow) of[c.state] = (of[c.state] || 0) + c.runs;
	const total = Object.values(of).reduce((a, b) => a + b, 0);
	const chip = (s, label, n) => el('a', { href: address('runs', { ...q, before: '', state: s }), class: n ? null : 'none', 'aria-current': (q.state || '') === s ? 'true' : null },
		s ? state(s) : label, ' ', el('span', { class: 'n' }, n.toLocaleString()));
	return el('nav', { class: 'chips', 'aria-label': 'States' }, chip('', 'All', total),
		stateNames.filter(s => of[s] || s === q.state || always.includes(s)).map(s => chip(s, word(s), of[s] || 0)));
}

function filters(q, counts) {
	const sums = {};
	for (const c of counts) sums[c.workflow] = (sums[c.workflow] || 0) + c.runs;
	if (q.workflow && !(q.workflow in sums)) sums[q.workflow] = 0;
	const submit = event => {
		event.preventDefault();
		const form = event.currentTarget.form || event.currentTarget;
		const f = Object.fromEntries(new FormData(form));
		f.text = f.text.trim();
		forget();
		if (uuid.test(f.text)) go('run/' + f.text);
		else if (address('runs', { ...f, state: q.state }) === location.hash) redraw();
		else go('runs', { ...f, state: q.state });
	};
	const option = (value, label, now) => el('option', { value, selected: (now || '') === value }, label);
	return el('form', { class: 'filters', role: 'search', onsubmit: submit },
		el('label', { class: 'grow' }, 'Find', el('input', { type: 'search', name: 'text', value: q.text || '', maxlength: 400, autocomplete: 'off', spellcheck: 'false',
			placeholder: 'key, address, id, workflow, or a text in the input' })),
		el('label', {}, 'Workflow', el('select', { name: 'workflow', onchange: submit }, option('', 'all', q.workflow),
			Object.entries(sums).map(([name, n]) => option(name, name + ' (' + n.toLocaleString() + ')', q.workflow)))),
		el('label', {}, 'Started', el('select', { name: 'within', onchange: submit }, option('', 'at any time', q.within),
			Object.keys(within).map(w => option(w, 'within the last ' + w, q.within)))),
		el('button', { class: 'main' }, 'Find'));
}

/* ---- rows ---- */

export function what(r) {
	if (r.stuck) return r.stuck;
	if (r.finished_at) return r.reason || r.error;
	if (r.error) return r.error;
	if (r.reason && !/: waits for a signal/.test(r.reason)) return [el('span', { class: 'warn' }, r.failure ? '↻ ' : ''), timeless(r.reason)];
	if (r.waiting_for) return ['for ', el('strong', {}, r.waiting_for)];
	return r.step;
}

function next(r) {
	if (!r.next_at || r.finished_at) return null;
	if (isNaN(millis(r.next_at))) return 'with the event';
	return millis(r.next_at) <= now() ? 'due' : aged(r.next_at);
}

function tick(r) {
	const change = event => {
		if (event.currentTarget.checked) chosen.set(r.run, r); else chosen.delete(r.run);
		redraw();
	};
	return el('input', { type: 'checkbox', 'aria-label': 'Choose ' + (r.key || r.run), checked: chosen.has(r.run), onchange: change });
}

const row = r => ({
	key: r.run, class: chosen.has(r.run) ? 'chosen' : null, cells: [
		el('span', { class: 'pick' }, tick(r), el('span', { class: 'who' }, link('#/run/' + r.run, r.key || el('span', { class: 'id' }, r.run)), el('span', { class: 'soft' }, r.workflow))),
		state(r.state), what(r), aged(r.since), next(r), el('time', { datetime: r.started_at }, clock(r.started_at)),
		r.finished_at ? span(millis(r.finished_at) - millis(r.started_at)) : null],
});
const heads = ['Run', 'State', 'Why, or for what', 'Since', 'Next', 'Started', 'Took'];

function chooseNone() {
	chosen.clear();
	redraw();
}

function bulk() {
	const list = [...chosen.values()];
	return list.length === 0 ? null : el('div', { class: 'bulk', role: 'region', 'aria-label': 'Chosen runs' }, el('strong', {}, plural(list.length, 'run') + ' chosen'),
		retryThese(list, chooseNone), cancelThese(list, chooseNone), button('Choose none', chooseNone));
}

function choose(list) {
	return list.length < 2 ? null : button(list.every(r => chosen.has(r.run)) ? 'Choose none' : 'Choose all ' + list.length, () => {
		const every = list.every(r => chosen.has(r.run));
		for (const r of list) if (every) chosen.delete(r.run); else chosen.set(r.run, r);
		redraw();
	}, { class: 'plain' });
}

/* ---- the two kinds of list ---- */

function nothing(q, counts) {
	if (!counts.length && !q.text && !q.workflow)
		return el('div', { class: 'card empty' }, el('h2', {}, 'No runs yet'), el('p', {}, 'A run begins with an INSERT whose trigger is start_on_insert(), with a webhook, a schedule, or in SQL:'),
			el('pre', { tabindex: 0 }, "SELECT dataflows.start('your-workflow', '{\"email\": \"ada@example.com\"}', 'ada@example.com');"));
	return el('div', { class: 'card empty' }, el('h2', {}, q.state === 'stuck' ? 'No run needs a person' : 'No run matches'),
		el('p', {}, q.text || q.workflow || q.within || q.state ? [link('#/runs', 'Clear the filters'), ' to see all runs.'] : 'They may belong to roles whose runs you may not see.'));
}

function newest(d, q) {
	const { runs: list, next: more } = d.list;
	if (!list.length) return nothing(q, d.counts);
	return [el('div', { class: 'above' }, choose(list), q.before ? el('span', { class: 'soft' }, 'Older runs') : el('span', { class: 'soft' }, 'Newest first')),
		table('Runs', heads, list.map(row)),
		el('div', { class: 'actions' }, q.before ? link(address('runs', { ...q, before: '' }), 'Newest') : null,
			more ? link(address('runs', { ...q, before: more }), 'Older') : null)];
}

function matching(d, q) {
	const s = search(location.hash, { text: q.text, workflow: q.workflow, state: q.state, since: since(q) });
	const names = [...new Set(d.counts.map(c => c.workflow))].filter(w => w.toLowerCase().includes(q.text.toLowerCase()) && w !== q.workflow);
	const list = s.found || [];
	const said = s.error ? el('p', { class: 'bad', role: 'alert' }, '! ' + s.error)
		: s.looking ? el('p', { class: 'soft' }, 'Looking' + (s.back ? ', back to ' + clock(s.back) : '') + ' … ', button('Stop', stop))
		: s.over ? el('p', { class: 'soft' }, list.length ? plural(list.length, 'run') + ' found; all were looked at.' : 'All runs were looked at.')
		: list.length >= 50 ? el('p', { class: 'soft' }, 'Too many match: these are the newest ' + list.length + '. Narrow it down, or ', button('Show older ones', further))
		: el('p', { class: 'soft' }, plural(list.length, 'run') + ' found, back to ' + clock(s.back) + ' (' + about(now() - millis(s.back)) + '). ', button('Look further back', further));
	return [names.length ? el('p', {}, 'Workflows: ', names.slice(0, 10).map(w => [link(address('runs', { workflow: w }), w), ' '])) : null,
		said, list.length ? [el('div', { class: 'above' }, choose(list)), table('Runs', heads, list.map(row))] : s.looking ? null : nothing(q, d.counts)];
}

export const runs = {
	title: 'Runs',
	ask({ query: q }) {
		const filtered = address('runs', { ...q, before: '' });
		if (filtered !== chosenIn) chosen.clear();
		chosenIn = filtered;
		const list = ['runs', { workflow: q.workflow, state: q.state, before: q.before, since: since(q) }];
		return q.text ? { counts: ['counts'] } : { counts: ['counts'], list };
	},
	begin() { chosen.clear(); },
	holds: () => chosen.size > 0,
	draw(d) {
		const q = place().query;
		return [el('h1', {}, 'Runs'), filters(q, d.counts), chips(q, d.counts), q.text ? matching(d, q) : newest(d, q), bulk()];
	},
};
