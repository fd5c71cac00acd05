/* One run: where it is, its timeline, each step with its request and answer, what people asked of it. */

import { block, button, el, link, span, state, table, time } from './dom.js';
import { runActions, settle } from './actions.js';
import { gantt } from './gantt.js';
import { get } from './server.js';

const pageSize = 200;

function facts(r) {
	const list = {
		Id: r.run, Workflow: r.workflow + ' v' + r.version, Owner: r.owner, 'Started by': r.started_by, Started: time(r.started_at),
		Finished: time(r.finished_at), 'Waits for': r.waiting_for, 'Goes on at': time(r.wake_at), Deadline: time(r.deadline), Cause: r.cause,
		Round: r.round > 1 ? String(r.round) : null, Parent: r.parent && link('#/run/' + r.parent, r.parent),
		'Restarted from': r.restarted_from && link('#/run/' + r.restarted_from, r.restarted_from),
		Trace: r.traceparent,
	};
	return el('div', { class: 'card' }, el('dl', {},
		Object.entries(list).filter(f => f[1]).map(f => [el('dt', {}, f[0]), el('dd', {}, f[1])])));
}

function failures(attempts) {
	return table('Failed attempts', ['Attempt', 'At', 'Took', 'Status', 'Outcome', 'Error'], attempts.map(a => [
		(a.undo ? 'undo ' : '') + a.attempt, time(a.at), a.took_ms == null ? null : span(a.took_ms), a.status, a.outcome,
		a.error == null || typeof a.error === 'string' ? a.error : a.error.message || JSON.stringify(a.error)]), 'No failed attempts.');
}

function step(r, s, attempts) {
	const part = (title, ...values) => values.every(v => v == null) ? null : [el('h3', {}, title), values.map(block)];
	const short = [s.kind, s.request, s.status && 'status ' + s.status, s.attempts > 1 && s.attempts + ' attempts',
		s.undo_state !== 'none' && 'undo ' + s.undo_state].filter(Boolean).join(' · ');
	return el('details', { 'data-keep': s.n },
		el('summary', {}, s.n + '. ' + s.step + ' ', state(s.state), el('span', { class: 'soft' }, '  ' + short)),
		s.state === 'in_doubt' || s.undo_state === 'undo_failed' ? settle(r.run, s.n) : null,
		s.child ? el('p', {}, 'Calls ', link('#/run/' + s.child, s.child)) : null,
		part('Request', s.body), part('Answer', s.output), part('Error', s.error),
		part('Undo', s.undo, s.undo_body), part('Error of the undo', s.undo_error), failures(attempts.filter(a => a.n === s.n)));
}

/* a run of many steps is shown two hundred at a time */
function steps(r, d, after) {
	if (!d.steps.length) return [el('h2', {}, 'Steps'), el('div', { class: 'card' }, 'None yet.')];
	const first = d.steps[0].n, last = d.steps[d.steps.length - 1].n;
	const to = (label, n) => button(label, () => { location.hash = '#/run/' + r.run + (n > 0 ? '/' + n : ''); });
	const end = Math.floor((d.last - 1) / pageSize) * pageSize;
	const pager = d.last <= pageSize ? null : el('div', { class: 'actions' },
		el('span', {}, 'Steps ' + first + ' to ' + last + ' of ' + d.last),
		after > 0 ? [to('First', 0), to('Earlier', after - pageSize)] : null, after < end ? [to('Later', after + pageSize), to('Last', end)] : null);
	return [el('h2', {}, 'Timeline'), pager, gantt(r, d.steps, d.attempts),
		el('h2', {}, 'Steps'), el('div', { class: 'card' }, d.steps.map(s => step(r, s, d.attempts)))];
}

/* an application's own user stands beside the role */
function by(s) { return s.on_behalf_of == null ? s.sent_by : s.sent_by + ' for ' + s.on_behalf_of; }

function record(d) {
	const sent = [
		...d.signals.map(s => ({ at: s.sent_at, what: 'signal ' + s.event, by: by(s), why: s.payload == null ? null : JSON.stringify(s.payload), state: s.state })),
		...d.requests.map(q => ({ at: q.sent_at, what: [q.request, q.step, q.outcome].filter(Boolean).join(' '), by: by(q), why: q.note, state: q.state }))];
	sent.sort((a, b) => a.at < b.at ? 1 : -1);
	return [el('h2', {}, 'Signals and requests'), table('Signals and requests', ['When', 'What', 'By', 'Note or payload', 'State'],
		sent.map(s => [time(s.at), s.what, s.by, s.why, s.state]), 'None.')];
}

export async function run(id, from) {
	const after = Math.max(0, Math.floor(Number(from) || 0));
	const d = await get('run', { run: id, after: after ? String(after) : '' }), r = d.run;
	return [el('h1', {}, r.key || r.run, ' ', state(r.state)), runActions(r), facts(r),
		r.stuck ? el('div', { class: 'card bad' }, '! ' + (r.stuck.reason || ''), el('br'), r.stuck.remedy || '') : null,
		steps(r, d, after), record(d),
		el('h2', {}, 'Input'), block(r.input) || el('p', { class: 'soft' }, 'Not shown.'),
		r.result != null ? [el('h2', {}, 'Result'), block(r.result)] : null,
		r.error != null ? [el('h2', {}, 'Error'), block(r.error)] : null];
}
