/* Throughput and latency of the last hour. */

import { chart, el, millis, span, svg } from './dom.js';
import { get } from './server.js';

const width = 900, hour = 3600e3;
const axis = y => [svg('text', { x: 0, y }, 'an hour ago'), svg('text', { x: width, y, 'text-anchor': 'end' }, 'now')];
const kinds = [['completed', 'bar'], ['undone', 'undo'], ['stuck', 'fail']];
const kindOf = state => state === 'completed' ? 0 : state === 'stuck' ? 2 : 1;

function throughput(list) {
	const now = Math.floor(Date.now() / 60e3), base = 150, room = 125;
	const minutes = Array.from({ length: 60 }, () => [0, 0, 0]);
	for (const m of list) {
		const minute = minutes[59 - (now - Math.floor(millis(m.minute) / 60e3))];
		if (minute) minute[kindOf(m.state)] += m.n;
	}
	const sum = m => m[0] + m[1] + m[2];
	const max = Math.max(1, ...minutes.map(sum)), total = minutes.reduce((all, m) => all + sum(m), 0);
	const column = (m, i) => {
		let y = base;
		return kinds.map(([, cls], k) => {
			const height = m[k] / max * room;
			y -= height;
			return height > 0 ? svg('rect', { x: i * 15 + 2, width: 11, y, height, class: cls }) : null;
		});
	};
	return svg('svg', { viewBox: '0 0 ' + width + ' 170', role: 'img',
		'aria-label': total + ' runs ended or got stuck within the last hour, at most ' + max + ' a minute' },
		svg('text', { x: 4, y: 14 }, max + ' a minute'), svg('line', { x1: 0, x2: width, y1: base, y2: base, class: 'grid' }),
		minutes.map(column), axis(165));
}

function curve(list, key, max, cls) {
	const at = m => [width - (Date.now() - millis(m.minute)) / hour * width, 120 - m[key] / max * 95].map(v => v.toFixed(1));
	if (list.length > 1) return svg('polyline', { points: list.map(m => at(m).join()).join(' '), class: cls });
	const [cx, cy] = at(list[0]);
	return svg('circle', { cx, cy, r: 4, class: cls === 'line' ? 'bar' : 'undo' });
}

function latency(list) {
	const max = Math.max(1, ...list.map(m => m.p95));
	return svg('svg', { viewBox: '0 0 ' + width + ' 140', role: 'img', 'aria-label': 'Latency; the highest 95th percentile is ' + span(max) },
		svg('text', { x: 4, y: 14 }, span(max)), svg('line', { x1: 0, x2: width, y1: 120, y2: 120, class: 'grid' }),
		curve(list, 'p50', max, 'line'), curve(list, 'p95', max, 'line2'), axis(136));
}

export async function charts() {
	const [ended, steps] = await Promise.all([get('throughput'), get('latency')]);
	const systems = [...new Set(steps.map(m => m.system))];
	return [el('h1', {}, 'Charts'), el('h2', {}, 'Runs a minute'), chart('Runs a minute', throughput(ended),
		el('p', { class: 'soft' }, 'From below: completed; ended otherwise; got stuck. Of the newest 20,000 runs, started within the hour.')),
		el('h2', {}, 'Latency of steps'),
		systems.length ? systems.map(name => chart('Latency of ' + name, el('strong', {}, name), latency(steps.filter(m => m.system === name)),
			el('p', { class: 'soft' }, 'Solid: median. Dashed: 95th percentile. Retries and waiting for a place are in it.')))
			: el('p', { class: 'card soft' }, 'No steps within the last hour.')];
}
