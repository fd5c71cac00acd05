/*
 * The picture of a run, as numbers: what each step did when, and an axis on which long waits
 * are folded, so that work beside a wait of three days is seen.  Knows no document.
 */

import { millis, span } from './words.js';

const waits = ['wait', 'sleep', 'call'];

/* the end of the picture: that of the run, when it got stuck, or now */
export function endOf(d, now) {
	if (d.run.finished_at) return millis(d.run.finished_at);
	return Math.max(now, millis(d.run.started_at));
}

/* its end is not recorded: the next thing that the run did is the latest that it can have been */
function undoneBy(step, d, end) {
	const since = millis(step.undo_since);
	if (step.undo_state === 'due' || step.undo_state === 'sent') return end;
	const tries = d.attempts.filter(a => a.undo && a.n === step.n).map(a => millis(a.at) + (a.took_ms || 0));
	if (step.undo_state === 'undo_failed') return Math.max(since + 1, ...tries);
	const later = d.steps.flatMap(s => [s.undo_since, s.started_at].filter(Boolean).map(millis)).filter(t => t > since);
	return Math.max(since + 1, Math.min(end, ...later));
}

/* kind: work, wait, pause (until the next attempt), retry (an attempt that failed), fail, doubt or undo */
export function segments(step, d, end) {
	const begin = millis(step.started_at);
	const until = step.finished_at ? millis(step.finished_at) : end;
	const list = [];
	if (waits.includes(step.kind)) list.push({ kind: 'wait', from: begin, to: until });
	else {
		const tries = d.attempts.filter(a => !a.undo && a.n === step.n).map(a => ({ kind: 'retry', from: millis(a.at), to: millis(a.at) + (a.took_ms || 0) })).sort((a, b) => a.from - b.from);
		const pending = step.state === 'pending' && step.attempts > 0;
		list.push(...tries);
		if (tries.length >= Math.max(1, step.attempts)) {
			if (step.state === 'failed') tries[tries.length - 1].kind = 'fail';
		} else if (!pending) {
			const kind = step.state === 'failed' ? 'fail' : step.state === 'in_doubt' ? 'doubt' : 'work';
			list.push({ kind, from: tries.length && step.sent_at ? Math.max(millis(step.sent_at), tries[tries.length - 1].to) : begin, to: until });
		}
		for (let i = 0; i < tries.length; i++) {
			const next = list[i + 1] ? list[i + 1].from : pending ? end : tries[i].to;
			if (next > tries[i].to) list.push({ kind: 'pause', from: tries[i].to, to: next });
		}
	}
	if (step.undo_since) {
		list.push({ kind: 'undo', from: millis(step.undo_since), to: undoneBy(step, d, end) });
		for (const a of d.attempts) if (a.undo && a.n === step.n) list.push({ kind: step.undo_state === 'undo_failed' ? 'fail' : 'retry', from: millis(a.at), to: millis(a.at) + (a.took_ms || 0) });
	}
	return list.map(s => ({ ...s, to: Math.min(Math.max(s.to, s.from), Math.max(end, s.from)) }));
}

/* ---- the axis ---- */

function merge(list) {
	const merged = [];
	for (const s of [...list].sort((a, b) => a.from - b.from)) {
		const last = merged[merged.length - 1];
		if (last && s.from <= last.to) last.to = Math.max(last.to, s.to);
		else merged.push({ from: s.from, to: s.to });
	}
	return merged;
}

/* busy: when something was done; what lies between is folded if it is longer than two seconds and half of all work */
export function axis(busy, from, to) {
	const spans = merge([{ from, to: from }, ...busy.map(s => ({ from: Math.max(from, s.from), to: Math.min(to, s.to) })).filter(s => s.to >= s.from), { from: to, to }]);
	const work = spans.reduce((sum, s) => sum + s.to - s.from, 0);
	const limit = Math.max(2000, work / 2);
	const pieces = [];
	const grow = (begin, end) => {
		const last = pieces[pieces.length - 1];
		if (last && !last.fold) last.to = end; else pieces.push({ from: begin, to: end, fold: false });
	};
	spans.forEach((s, i) => {
		if (i > 0) {
			const gap = { from: spans[i - 1].to, to: s.from };
			if (gap.to - gap.from > limit && work > 0) pieces.push({ ...gap, fold: true }); else grow(gap.from, gap.to);
		}
		grow(s.from, s.to);
	});
	const folds = pieces.filter(p => p.fold).length;
	const open = Math.max(1, pieces.reduce((sum, p) => sum + (p.fold ? 0 : p.to - p.from), 0));
	const share = Math.min(9, 45 / Math.max(1, folds));
	let x = 0;
	for (const p of pieces) {
		p.x = x;
		p.width = p.fold ? share : (p.to - p.from) / open * (100 - share * folds);
		x += p.width;
	}
	const at = t => {
		const p = pieces.find(q => t <= q.to) || pieces[pieces.length - 1];
		return Math.min(100, Math.max(0, p.x + (p.to > p.from ? (Math.min(Math.max(t, p.from), p.to) - p.from) / (p.to - p.from) : 0) * p.width));
	};
	return { at, pieces, from, to };
}

const nice = ms => {
	const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5];
	return steps.find(s => s >= ms) || Math.ceil(ms / 864e5) * 864e5;
};

/* what stands at the axis: { x, text }, at least so many percent from each other */
export function ticks(a, room = 12, live = false) {
	const list = [{ x: 0, text: '0' }];
	const end = (live ? 'now · ' : '') + span(a.to - a.from);
	const last = a.at(a.to) - room * (live ? 2.2 : 1.5); // the end's text stands to the left of it
	for (const p of a.pieces) {
		if (p.fold) continue;
		const step = nice((p.to - p.from) / Math.max(1, p.width / room));
		const first = p.x === 0 ? step : Math.ceil((p.from - a.from) / step) * step;
		if (p.x > 0 && p.x - list[list.length - 1].x >= room && p.x <= last) list.push({ x: p.x, text: '+' + span(p.from - a.from) });
		for (let t = first; a.from + t < p.to; t += step) {
			const x = a.at(a.from + t);
			if (x - list[list.length - 1].x >= room && x <= last) list.push({ x, text: span(t) });
		}
	}
	return [...list, { x: 100, text: end, end: true }];
}

/* everything that is needed to draw it */
export function picture(d, now) {
	const end = endOf(d, now), from = d.steps.length ? Math.min(millis(d.run.started_at), millis(d.steps[0].started_at)) : millis(d.run.started_at);
	const begin = d.steps.length && d.steps[0].n > 1 ? millis(d.steps[0].started_at) : from;
	const to = d.last > d.steps[d.steps.length - 1].n ? Math.max(...d.steps.map(s => millis(s.finished_at || s.started_at))) : Math.max(end, begin + 1);
	const lanes = d.steps.map(s => segments(s, d, to));
	const busy = lanes.flat().filter(s => s.kind !== 'wait' && s.kind !== 'pause');
	const marks = d.steps.flatMap(s => [s.started_at, s.finished_at].filter(Boolean).map(millis)).map(t => ({ from: t, to: t }));
	return { axis: axis([...busy, ...marks], begin, to), lanes };
}
