/* The list of runs: filters, search by key, older ones. */

import { button, el, runLink, span, state, table, time, millis } from './dom.js';
import { get } from './server.js';

const states = ['queued', 'running', 'waiting', 'rolling_back', 'stuck', 'completed', 'rolled_back', 'cancelled', 'abandoned'];
const within = { hour: 3600e3, day: 86400e3, week: 604800e3 };
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const asked = () => Object.fromEntries(new URLSearchParams(location.hash.split('?')[1] || ''));

function go(view, query) {
	const parts = Object.entries(query || {}).filter(e => e[1]);
	location.hash = '#/' + view + (parts.length ? '?' + new URLSearchParams(parts) : '');
}

/* whole minutes, so that the same question can be answered by "the same" */
function since(q) {
	const ms = within[q.within];
	return ms && new Date(Math.floor((Date.now() - ms) / 60e3) * 60e3).toISOString();
}

function find(q) {
	if (q.key) return get('runs_by_key', { workflow: q.workflow, key: q.key, state: q.state });
	return get('runs', { workflow: q.workflow, state: q.state, prefix: q.prefix, before: q.before, since: since(q) });
}

function filters(q) {
	const text = (name, label) => el('label', {}, label, el('input', { name, value: q[name] || '', maxlength: 400 }));
	const pick = (name, label, options) => el('label', {}, label, el('select', { name }, el('option', { value: '' }, 'all'),
		options.map(o => el('option', { selected: q[name] === o }, o))));
	const form = el('form', { class: 'filters', role: 'search', onsubmit: event => {
		event.preventDefault();
		const f = Object.fromEntries(new FormData(form));
		f.key = f.key.trim();
		if (uuid.test(f.key)) go('run/' + f.key); else go('runs', f);
	} }, text('workflow', 'Workflow'), pick('state', 'State', states), text('key', 'Key, or id of a run'),
		text('prefix', 'Key begins with'), pick('within', 'Started within', Object.keys(within)),
		el('button', { class: 'main' }, 'Show'));
	return form;
}

const row = r => [runLink(r), r.workflow + ' v' + r.version, state(r.state), r.step, time(r.started_at),
	r.finished_at ? span(millis(r.finished_at) - millis(r.started_at)) : null,
	r.stuck || r.error || (r.waiting_for ? 'waits for ' + r.waiting_for : null)];

export async function runs() {
	const q = asked();
	const { runs: list, next } = await find(q);
	return [el('h1', {}, 'Runs'), filters(q),
		table('Runs', ['Key', 'Workflow', 'State', 'Step', 'Started', 'Took', 'Remarks'], list.map(row),
			next ? 'No runs that match among the newest.' : 'No runs that match.'),
		el('div', { class: 'actions' },
			q.before ? button('Newest', () => go('runs', { ...q, before: '' })) : null,
			next ? button(list.length === 50 ? 'Older' : 'Look further back', () => go('runs', { ...q, before: next })) : null)];
}
