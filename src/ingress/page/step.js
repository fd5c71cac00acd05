/* A step, opened: what was sent and answered, each attempt, and how it is undone. */

import { resolve } from './actions.js';
import { block, el, facts, link, short, table } from './dom.js';
import { redraw } from './place.js';
import { LoggedOut, get, reason } from './server.js';
import { clock, millis, plural, span, state, time, word } from './words.js';

const open = new Map();		/* run/n -> { is: what it was like when it was read, data, error } */

export const isOpen = (r, s) => open.has(r.run + '/' + s.n);

/* a step that has changed since is read again */
function read(r, s) {
	const id = r.run + '/' + s.n, is = [s.state, s.attempts, s.undo_state, s.undo_attempts].join();
	const known = open.get(id);
	if (known.is === is) return known;
	known.is = is;
	get('step', { run: r.run, n: s.n }).then(data => { known.data = data; }, e => {
		if (!(e instanceof LoggedOut)) known.error = reason(e);
	}).then(redraw);
	return known;
}

export function toggle(r, s, is) {
	if (is === isOpen(r, s)) return;
	if (is) open.set(r.run + '/' + s.n, { is: null }); else open.delete(r.run + '/' + s.n);
	redraw();
}

export const closeAll = () => open.clear();

const headers = h => h && Object.keys(h).length ? block(Object.entries(h).map(([k, v]) => k + ': ' + (typeof v === 'string' ? v : JSON.stringify(v))).join('\n')) : null;
const part = (title, ...values) => values.every(v => v == null) ? null : el('section', {}, el('h3', {}, title), values);
const labelled = (label, value) => value == null ? null : [el('p', { class: 'label' }, label), value];

function tries(s, attempts) {
	const list = attempts.filter(a => a.n === s.n).sort((a, b) => millis(a.at) - millis(b.at));
	if (!list.length) return null;
	return part('Attempts that failed', table('Attempts that failed', ['Attempt', 'Sent', 'Took', 'Answered', 'So'], list.map(a => ({
		key: a.undo + '/' + a.attempt, cells: [(a.undo ? 'undo ' : '') + a.attempt, clock(a.at), a.took_ms == null ? null : span(a.took_ms), [a.status, a.error].filter(Boolean).join(' '),
			a.next_at ? 'tried again ' + clock(a.next_at) : word(a.outcome)] })), { plain: true }));
}

export function details(d, s) {
	const r = d.run, { data, error } = read(r, s);
	if (error) return el('p', { class: 'bad', role: 'alert' }, '! ' + error);
	if (!data) return el('p', { class: 'soft' }, 'Reading what was sent and answered …');
	const pending = d.pending.find(p => p.n === s.n);
	const child = d.children.find(c => c && c.run === s.child);
	return el('div', { class: 'opened' },
		pending ? el('div', { class: 'actions' }, resolve(r, { ...pending, undo_failed: s.undo_state === 'undo_failed', answered: pending.answered, key: undefined })) : null,
		facts({ State: state(s.state), Why: s.reason, Kind: s.kind, System: s.system, Request: s.request && short(s.request), 'Idempotency key': data.idempotency_key && short(data.idempotency_key),
			Began: time(s.started_at), Ended: time(s.finished_at), 'Next attempt': s.finished_at || s.kind === 'wait' ? null : time(s.wake_at), Attempts: s.attempts > 1 ? String(s.attempts) : null,
			'Calls the run': s.child && link('#/run/' + s.child, child ? (child.key || child.run) + ' (' + child.workflow + '), ' + word(child.state) : s.child) }),
		el('div', { class: 'pair' },
			part('Sent', labelled('Headers of the body', headers(data.headers)), labelled('Body', block(data.body))),
			part('Answered', s.status ? el('p', {}, 'Status ', el('strong', {}, String(s.status)), s.meaning ? ', which meant ' + word(s.meaning) : '') : null,
				labelled('Headers', headers(data.response_headers)), labelled(s.kind === 'wait' ? 'Payload' : 'Output', block(data.output)), labelled('Error', block(data.error)))),
		tries(s, d.attempts),
		s.undo || s.undo_state !== 'none' ? part('Undo', facts({ State: s.undo_state === 'none' ? 'only if the run is undone' : state(s.undo_state), Request: s.undo && short(s.undo),
			Attempts: s.undo_attempts > 1 ? plural(s.undo_attempts, 'attempt') : null, Began: time(s.undo_since) }),
			labelled('Headers', headers(data.undo_headers)), labelled('Body', block(data.undo_body)), labelled('Why it failed', block(data.undo_error))) : null);
}
