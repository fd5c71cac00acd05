/* Charts over time, drawn by uPlot, which is loaded when the first one is shown. */

import { el } from './dom.js';
import { redraw } from './place.js';
import { clock } from './words.js';

let loading = false;

function load() {
	if (loading) return;
	loading = true;
	document.head.append(el('link', { rel: 'stylesheet', href: 'uPlot.min.css' }), el('script', { src: 'uPlot.iife.min.js', onload: redraw }));
}

const colour = name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();

/* bars stand on each other: the sums are drawn, the largest first */
function stacked(series) {
	const sums = [];
	for (const s of series) sums.push(s.values.map((v, i) => v + (sums.length ? sums[sums.length - 1][i] : 0)));
	return sums.reverse();
}

function tip(spec) {
	const box = el('div', { class: 'tip' });
	box.hidden = true;
	return { hooks: {
		init: u => u.over.append(box),
		setCursor(u) {
			const i = u.cursor.idx;
			box.hidden = i == null || u.cursor.left < 0;
			if (box.hidden) return;
			box.replaceChildren(el('strong', {}, clock(spec.x[i] * 1000)), ...spec.series.map(s =>
				el('span', {}, s.label + ': ' + (s.values[i] == null ? '–' : spec.format(s.values[i])))));
			box.style.top = '4px';
			box.style.left = Math.max(0, Math.min(u.cursor.left + 12, u.over.clientWidth - box.offsetWidth)) + 'px';
		},
	} };
}

const day = 86400;
const times = (u, splits) => splits.map(t => new Date(t * 1000).toLocaleString([], spanOf(u) > 2 * day
	? { month: 'short', day: 'numeric' } : { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }));
const spanOf = u => u.data[0][u.data[0].length - 1] - u.data[0][0];

/* a line needs two values: one that has no neighbour is drawn as a point */
function alone(u, series) {
	const values = u.data[series];
	return values.map((v, i) => i).filter(i => values[i] != null && values[i - 1] == null && values[i + 1] == null);
}

function options(spec, width) {
	const line = { stroke: colour('soft'), grid: { stroke: colour('line'), width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' };
	const bars = spec.kind === 'bars' ? window.uPlot.paths.bars({ size: [0.8, 40] }) : undefined;
	const series = (spec.kind === 'bars' ? [...spec.series].reverse() : spec.series).map(s => ({ label: s.label, stroke: colour(s.hue), width: bars ? 0 : 2,
		fill: bars ? colour(s.hue) : undefined, paths: bars, dash: s.dash, points: { show: false, filter: bars ? undefined : alone, size: 6, fill: colour(s.hue) }, spanGaps: false }));
	return { width, height: 180, series: [{}, ...series], padding: [8, 20, 0, 0], cursor: { y: false, drag: { x: false, y: false }, points: { show: !bars } }, legend: { show: false },
		scales: { x: { time: true }, y: { range: (u, min, max) => [0, Math.max(max || 0, spec.least || 1) * 1.1] } }, plugins: [tip(spec)],
		axes: [{ ...line, size: 32, values: times }, { ...line, size: 64, values: (u, splits) => splits.map(v => spec.format(v)), incrs: spec.format(1) === '1' ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e5] : undefined }] };
}

function show(node, spec) {
	if (!window.uPlot) return load();
	const dark = document.documentElement.classList.contains('dark');
	const like = JSON.stringify([spec.series.map(s => s.label), spec.x[0], spec.x.length, dark, node.clientWidth]);
	const values = JSON.stringify(spec.series.map(s => s.values));
	if (node.like === like && node.values === values) return;
	const data = [spec.x, ...spec.kind === 'bars' ? stacked(spec.series) : spec.series.map(s => s.values)];
	node.plot?.destroy();
	node.plot = new window.uPlot(options(spec, node.clientWidth), data, node);
	node.like = like;
	node.values = values;
	if (!node.watched) {
		node.watched = new ResizeObserver(() => redraw());
		node.watched.observe(node);
	}
}

/* spec: title, unit, x (seconds), series: { label, values, hue }, kind, format, said, missing, nothing */
export function chart(id, spec) {
	const key = spec.series.map(s => el('span', {}, el('span', { class: 'dot' + (s.dash ? ' dashed' : ''), 'aria-hidden': 'true', style: { borderColor: 'var(--' + s.hue + ')' } }), s.label));
	return el('figure', { key: id, class: 'card' }, el('figcaption', {}, el('h2', {}, spec.title), el('span', { class: 'soft' }, spec.said ? spec.said + ' · ' + spec.unit : spec.nothing)),
		spec.said ? [el('div', { key: id, class: 'plot', kept: true, role: 'img', 'aria-label': spec.title + ': ' + spec.said + ', ' + spec.unit, drawn: node => show(node, spec) }), el('p', { class: 'legend' }, key)] : null,
		spec.missing ? el('p', { class: 'warn' }, spec.missing) : null);
}

document.addEventListener('theme', () => redraw());
