/* The steps of a run over time. */

import { chart, el, millis, sign, span, svg } from './dom.js';

const width = 900, left = 190, right = 10, rowHeight = 26, top = 24;

/* from the first thing that is known to the last one; of a live run, to now */
function extent(run, steps, attempts) {
	const from = millis(steps[0].started_at);
	const known = [from + 1, run.finished_at && millis(run.finished_at),
		...steps.flatMap(s => [s.finished_at, s.started_at, s.undo_since].filter(Boolean).map(millis)),
		...attempts.map(a => millis(a.at) + (a.took_ms || 0))].filter(Boolean);
	const last = Math.max(...known);
	return { from, to: run.finished_at ? last : Math.max(last + 500, Date.now()) };
}

/* its end is not recorded: the next thing that the run did is the latest that it can have been */
function undoneBy(step, run, steps, to) {
	const since = millis(step.undo_since);
	if (step.undo_state === 'due' || step.undo_state === 'sent') return to;
	const later = steps.flatMap(s => [s.undo_since, s.started_at].filter(Boolean).map(millis)).filter(t => t > since);
	return Math.min(to, ...later, run.finished_at ? millis(run.finished_at) : to);
}

function kindOf(step) {
	if (step.state === 'failed' || step.state === 'in_doubt') return 'fail';
	return step.kind === 'wait' || step.kind === 'sleep' ? 'wait' : 'bar';
}

export function gantt(run, steps, attempts) {
	const { from, to } = extent(run, steps, attempts);
	const at = ms => left + (Math.min(Math.max(ms, from), to) - from) / (to - from) * (width - left - right);
	const x = t => at(millis(t));
	const bar = (cls, begin, end, y, height, rx) => svg('rect', { x: begin, y, width: Math.max(3, end - begin), height, rx, class: cls });
	const height = top + 6 + steps.length * rowHeight;

	const rows = steps.map((s, i) => {
		const y = top + i * rowHeight;
		const took = s.finished_at ? span(millis(s.finished_at) - millis(s.started_at)) : 'under way';
		const end = s.finished_at ? x(s.finished_at) : run.finished_at ? x(run.finished_at) : at(to);
		const name = sign(s.undo_state === 'undone' || s.undo_state === 'undo_failed' ? s.undo_state : s.state) + ' ' + s.step;
		return svg('g', {},
			svg('title', {}, s.n + '. ' + s.step + ' (' + s.kind + '): ' + s.state + ', ' + took + ', attempts ' + s.attempts + ', undo ' + s.undo_state),
			svg('text', { x: 4, y: y + 14 }, name.length > 30 ? name.slice(0, 29) + '…' : name),
			bar(kindOf(s), x(s.started_at), end, y + 3, 13, 2),
			attempts.filter(a => a.n === s.n).map(a => bar(a.undo ? 'undo' : 'fail', x(a.at), x(a.at), y + 1, 17)),
			s.undo_since ? bar('undo', x(s.undo_since), at(undoneBy(s, run, steps, to)), y + 18, 4) : null);
	});
	const grid = [0, .25, .5, .75, 1].map(f => {
		const gx = left + f * (width - left - right);
		return svg('g', {}, svg('line', { x1: gx, x2: gx, y1: 18, y2: height - 4, class: 'grid' }),
			svg('text', { x: gx, y: 12, 'text-anchor': f === 1 ? 'end' : 'middle' }, span(f * (to - from))));
	});
	return chart('Timeline',
		svg('svg', { viewBox: '0 0 ' + width + ' ' + height, role: 'img',
			'aria-label': 'Timeline of ' + steps.length + ' steps; the list below tells the same' }, grid, rows),
		el('p', { class: 'soft' }, 'Solid: work. Dashed: waiting. Narrow marks: failed attempts. Thin bar below: undo.'));
}
