/* One run: what is the matter, then its picture, in which each step opens, then what it was given and said. */

import { block, el, facts, link, short, table } from './dom.js';
import { closeAll, details, isOpen, toggle } from './step.js';
import { picture, ticks } from './timeline.js';
import { verdict } from './verdict.js';
import { about as ago, cut, millis, now, plural, sign, span, state, time, word } from './words.js';

const pageSize = 500;

/* ---- the picture ---- */

function said(s, d) {
	const undo = s.undo_state !== 'none' && s.undo_state !== 'due' ? state(s.undo_state) : null;
	const took = s.finished_at ? span(millis(s.finished_at) - millis(s.started_at)) : s.kind === 'wait' || s.kind === 'sleep' ? null : s.state === 'pending' && s.attempts ? 'tried again' : null;
	const tries = s.attempts > 1 ? plural(s.attempts, 'attempt') : null;
	const child = s.child && d.children.find(c => c && c.run === s.child);
	return [undo || state(s.state), ' ', el('span', { class: 'soft' }, [s.status, took, tries, child && word(child.state)].filter(Boolean).join(' · '))];
}

/* how much of the lane the text at the axis needs, in percent: the lane is between two columns, or alone on a phone */
const tickRoom = () => 8000 / (innerWidth < 704 ? innerWidth - 50 : Math.min(innerWidth, 1280) - (innerWidth < 992 ? 460 : 570));

const percent = n => n.toFixed(3) + '%';

function lane(segments, a) {
	return el('span', { class: 'lane', 'aria-hidden': 'true' }, segments.map(s => {
		const x = a.at(s.from);
		return el('span', { class: 'seg ' + s.kind, style: { left: percent(x), width: percent(a.at(s.to) - x) } });
	}));
}

function step(d, s, segments, a) {
	const r = d.run, on = isOpen(r, s);
	const mark = s.undo_state === 'none' || s.undo_state === 'due' ? s.state : s.undo_state;
	return el('details', { key: s.n, class: 'step', open: on, ontoggle: event => toggle(r, s, event.currentTarget.open) },
		el('summary', { title: s.reason }, el('span', { class: 'name' }, el('span', { 'aria-hidden': 'true', class: 'soft' }, sign(mark) + ' '), s.step, s.round > 1 ? el('span', { class: 'soft' }, ' round ' + s.round) : null),
			lane(segments, a), el('span', { class: 'said' }, said(s, d))),
		on ? details(d, s) : null);
}

const legend = [['work', 'works'], ['wait', 'waits'], ['retry', 'attempt that failed'], ['fail', 'failed'], ['doubt', 'in doubt'], ['undo', 'is undone']];

function timeline(d) {
	if (!d.steps.length) return el('section', { class: 'card empty' }, el('h2', {}, 'No steps yet'), el('p', {}, 'The body has not asked for anything so far.'));
	const { axis, lanes } = picture(d, now());
	const there = new Set(lanes.flat().map(s => s.kind));
	const live = !d.run.finished_at && d.last <= d.steps[d.steps.length - 1].n;
	return el('section', { class: 'card timeline', 'aria-label': 'Steps over time' },
		el('div', { class: axis.pieces.some(p => p.fold) ? 'axis folded' : 'axis', 'aria-hidden': 'true' }, el('span', { class: 'lane' }, ticks(axis, tickRoom(), live).map(t =>
			el('span', { class: 'tick' + (t.end ? ' end' : ''), style: { left: percent(t.x) } }, t.text)))),
		el('div', { class: 'steps' }, el('div', { class: 'folds', 'aria-hidden': 'true' }, axis.pieces.filter(p => p.fold).map(p =>
			el('span', { class: 'fold', style: { left: percent(p.x), width: percent(p.width) } }, el('span', {}, ago(p.to - p.from))))),
			d.steps.map((s, i) => step(d, s, lanes[i], axis))),
		el('p', { class: 'legend' }, legend.filter(([k]) => there.has(k)).map(([k, text]) => el('span', {}, el('span', { class: 'seg ' + k, 'aria-hidden': 'true' }), text)),
			axis.pieces.some(p => p.fold) ? el('span', {}, el('span', { class: 'seg folded', 'aria-hidden': 'true' }), 'a long wait, folded') : null));
}

/* a run of many steps is shown five hundred at a time */
function pager(d, after) {
	if (d.last == null || d.last <= pageSize) return null;
	const first = d.steps[0].n, last = d.steps[d.steps.length - 1].n;
	const to = (label, n) => link('#/run/' + d.run.run + (n > 0 ? '/' + n : ''), label);
	const end = Math.floor((d.last - 1) / pageSize) * pageSize;
	return el('div', { class: 'actions' }, el('span', {}, 'Steps ' + first + ' to ' + last + ' of ' + d.last),
		after > 0 ? [to('First', 0), to('Earlier', after - pageSize)] : null, after < end ? [to('Later', after + pageSize), to('Last', end)] : null);
}

/* ---- beside it ---- */

const to = r => r && link('#/run/' + r.run, (r.key || r.run) + ' (' + r.workflow + ')');

function about(d) {
	const r = d.run;
	return facts({ Id: short(r.run), Key: r.key && short(r.key), Workflow: [link('#/runs?' + new URLSearchParams({ workflow: r.workflow }), r.workflow), ' version ' + r.version],
		Owner: r.owner, 'Started by': r.started_by, Started: time(r.started_at), Ended: time(r.finished_at), Deadline: time(r.deadline), Round: r.round > 1 ? String(r.round) : null,
		'Called by': to(d.parent) || r.parent, 'Restarted from': to(d.restarted_from) || r.restarted_from, Trace: r.traceparent && short(r.traceparent) });
}

/* an application's own user stands beside the role */
const by = s => s.on_behalf_of == null ? s.sent_by : s.sent_by + ' for ' + s.on_behalf_of;

function record(d) {
	const list = [
		...d.signals.map(s => ({ id: 's' + s.id, at: s.sent_at, what: 'signal ' + s.event, by: by(s), why: s.payload == null ? null : JSON.stringify(s.payload), state: s.state === 'done' ? null : s.state })),
		...d.requests.map(q => ({ id: 'q' + q.id, at: q.sent_at, what: [q.request, q.step, q.outcome].filter(Boolean).join(' '), by: by(q), why: q.note, state: q.state === 'done' ? null : q.state }))];
	if (!list.length) return null;
	list.sort((a, b) => a.at < b.at ? 1 : -1);
	return el('section', {}, el('h2', {}, 'What people and systems asked'), table('Signals and requests', ['When', 'What', 'By', 'Note or payload', 'State'],
		list.map(s => ({ key: s.id, cells: [time(s.at), s.what, s.by, s.why && cut(s.why), s.state] })), { plain: true }));
}

const part = (title, value) => value == null ? null : el('section', { class: 'card' }, el('h2', {}, title), value);

export const run = {
	title: 'Run',
	name: d => d.run ? d.run.run.key || d.run.run.workflow : 'Run',
	ask({ rest: [id, from] }) {
		const after = Math.max(0, Math.floor(Number(from) || 0));
		return { run: ['run', { run: id, after: after ? String(after) : '' }] };
	},
	begin: closeAll,
	draw({ run: d }, { rest: [, from] }) {
		const r = d.run;
		return [el('p', { class: 'crumbs' }, link('#/runs', 'Runs'), ' / ', link('#/runs?' + new URLSearchParams({ workflow: r.workflow }), r.workflow),
			d.parent ? [' / called by ', to(d.parent)] : null),
		el('h1', {}, r.key || r.workflow, ' ', el('span', { class: 'of' }, r.key ? r.workflow : '')),
		verdict(d), pager(d, Math.max(0, Math.floor(Number(from) || 0))), timeline(d),
		el('div', { class: 'pair' }, part('Input', block(r.input) || el('p', { class: 'soft' }, 'Not shown to you.')),
			r.error != null ? part('Error', block(r.error)) : part('Result', r.result != null ? block(r.result) : r.finished_at ? el('p', { class: 'soft' }, 'None.') : el('p', { class: 'soft' }, 'None yet.'))),
		part('About this run', about(d)), record(d)];
	},
};
