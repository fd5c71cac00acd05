/* The systems: whether each answers, and what went through over time. */

import { pauseOrResumeSystem } from './actions.js';
import { chart } from './charts.js';
import { el, empty, table } from './dom.js';
import { address, place } from './place.js';
import { span, state, time } from './words.js';

const ranges = { 900: '15 min', 3600: '1 h', 21600: '6 h', 86400: '24 h', 604800: '7 days' };
const asked = q => (q.range in ranges ? q.range : '3600');

/* the beginnings of the columns, the last one is the present one's */
function columns(d) {
	return Array.from({ length: Math.round((d.to - d.from) / d.width) + 1 }, (_, i) => d.from + i * d.width);
}

const missing = d => d.begins != null && d.begins > d.from ? 'There was too much to count all of it: nothing before ' + new Date(d.begins * 1000).toLocaleString() + ' is in here.' : null;

function throughput(d) {
	const x = columns(d), at = new Map(x.map((t, i) => [t, i]));
	const series = ['completed', 'undone or ended otherwise', 'got stuck'].map(() => x.map(() => 0));
	for (const m of d.list) if (at.has(m.at)) series[m.state === 'completed' ? 0 : m.state === 'stuck' ? 2 : 1][at.get(m.at)] += m.n;
	const total = series.flat().reduce((a, b) => a + b, 0);
	return chart('throughput', { title: 'Runs that ended or got stuck', unit: 'runs each ' + span(d.width * 1000), x, kind: 'bars', format: n => String(Math.round(n)), series: [
		{ label: 'completed', values: series[0], hue: 'good' }, { label: 'undone or ended otherwise', values: series[1], hue: 'undo' }, { label: 'got stuck', values: series[2], hue: 'bad' }],
	said: total ? total.toLocaleString() + (total === 1 ? ' run' : ' runs') : null, missing: missing(d), nothing: 'No run ended or got stuck in this time.' });
}

/* each with a line of its own, for who sees no colours */
const dashes = [undefined, [8, 4], [2, 4], [12, 3, 2, 3], [5, 2]];
const hues = ['info', 'undo', 'warn', 'good', 'bad', 'quiet'];

function latency(d, key, title) {
	const x = columns(d), at = new Map(x.map((t, i) => [t, i])), names = [...new Set(d.list.map(m => m.system))];
	const of = new Map(names.map(n => [n, x.map(() => null)]));
	for (const m of d.list) if (at.has(m.at)) of.get(m.system)[at.get(m.at)] = m[key];
	const worst = Math.max(0, ...d.list.map(m => m[key]));
	return chart(key, { title, unit: 'time from sending to the end of the step', x, kind: 'lines', format: span,
		series: names.map((n, i) => ({ label: n, values: of.get(n), hue: hues[i % hues.length], dash: dashes[i % dashes.length] })),
		said: names.length ? 'at most ' + span(worst) : null, nothing: 'No step of a system ended in this time, in the runs of the sample.' });
}

function failures(d) {
	const x = columns(d), at = new Map(x.map((t, i) => [t, i])), names = [...new Set(d.list.map(m => m.system))];
	const of = new Map(names.map(n => [n, x.map(() => null)]));
	for (const m of d.list) if (at.has(m.at)) of.get(m.system)[at.get(m.at)] = 100 * m.failures / (m.n + m.failures);
	const tries = d.list.reduce((sum, m) => sum + m.n + m.failures, 0), failed = d.list.reduce((sum, m) => sum + m.failures, 0);
	return chart('failures', { title: 'Attempts that failed', unit: 'of all attempts', x, kind: 'lines', format: n => +n.toFixed(1) + ' %', least: 5,
		series: names.map((n, i) => ({ label: n, values: of.get(n), hue: hues[i % hues.length], dash: dashes[i % dashes.length] })),
		said: tries ? (failed ? (100 * failed / tries).toFixed(1) + ' %' : 'none') : null, nothing: 'No step of a system ended in this time, in the runs of the sample.' });
}

const why = s => s.held_owners ? (s.reason || 'recovering') + ' for ' + s.held_owners.join(', ')
	: s.paused_by ? 'paused by ' + s.paused_by + (s.paused_note ? ': ' + s.paused_note : '') : s.reason;

export const systems = {
	title: 'Systems',
	ask({ query: q }) {
		const range = { range: asked(q) };
		return { systems: ['systems'], ended: ['throughput', range], steps: ['latency', range] };
	},
	draw({ systems: list, ended, steps }) {
		const q = place().query, range = asked(q);
		return [el('h1', {}, 'Systems'),
			list.length ? table('Systems', ['System', 'State', 'Now', 'Errors', 'Latency', 'Rate', 'Held until', 'Why', 'Actions'], list.map(s => ({ key: s.system, cells: [
				el('span', { class: 'who' }, el('strong', {}, s.system), el('span', { class: 'soft' }, s.url)), state(s.paused_by ? 'paused' : s.breaker),
				s.in_flight + ' of ' + (s.allowed ?? s.max_concurrency) + ' in flight',
				s.error_rate == null ? null : Math.round(s.error_rate * 100) + ' % of ' + s.requests, s.latency_ms == null ? null : span(s.latency_ms), s.rate_limit, time(s.held_until), why(s), pauseOrResumeSystem(s)] })), { trim: true })
				: empty('No systems', 'A system is made with CREATE SERVER … FOREIGN DATA WRAPPER dataflows, and is seen by roles with USAGE on it.'),
			el('nav', { class: 'chips', 'aria-label': 'Time' }, Object.entries(ranges).map(([s, label]) =>
				el('a', { href: address('systems', { range: s }), 'aria-current': s === range ? 'true' : null }, label))),
			el('div', { class: 'charts' }, throughput(ended), latency(steps, 'p50', 'Latency, median'), latency(steps, 'p95', 'Latency, 95th percentile'), failures(steps)),
			el('p', { class: 'soft' }, 'Latency and failed attempts are those of a sample of up to 3,000 runs, spread over the time. A step that was tried again counts from its last attempt.')];
	},
};
