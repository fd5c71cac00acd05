/* What needs a person, systems, workflows, and the ways in. */

import { pauseOrResume, runActions, settle } from './actions.js';
import { el, link, runLink, span, state, table, time } from './dom.js';
import { get } from './server.js';

export async function stuck() {
	const [list, pending] = await Promise.all([get('stuck'), get('pending_undo')]);
	return [el('h1', {}, 'Needs a person'), el('h2', {}, 'Stuck runs'),
		table('Stuck runs', ['Run', 'Workflow', 'Reason', 'Remedy', 'Since', 'Actions'],
			list.map(s => [runLink(s), s.workflow, s.reason, s.remedy, time(s.since), runActions({ ...s, state: 'stuck' })]), 'No run is stuck.'),
		el('h2', {}, 'To be settled or undone by hand'),
		table('To be settled or undone by hand', ['Run', 'Step', 'System', 'Request', 'Why', 'Remedy', 'Actions'],
			pending.map(p => [runLink(p), p.step, p.system, p.undo || p.request, p.why, p.remedy, settle(p.run, p.n)]), 'Nothing is pending.')];
}

export async function systems() {
	const list = await get('systems');
	return [el('h1', {}, 'Systems'),
		table('Systems', ['System', 'URL', 'Breaker', 'In flight', 'Rate', 'Errors', 'Requests', 'Latency', 'Held until', 'Why'], list.map(s => [
			s.system, s.url, state(s.breaker), s.in_flight + ' of ' + (s.allowed ?? s.max_concurrency), s.rate_limit,
			s.error_rate == null ? null : Math.round(s.error_rate * 100) + ' %', String(s.requests),
			s.latency_ms == null ? null : span(s.latency_ms), time(s.held_until),
			s.held_owners ? (s.reason || 'recovering') + ' for ' + s.held_owners.join(', ') : s.reason]), 'No systems.')];
}

export async function workflows() {
	const list = await get('workflows');
	return [el('h1', {}, 'Workflows'),
		table('Workflows', ['Workflow', 'Version', 'Function', 'Owner', 'State', 'Defined', 'Actions'], list.map(w => [
			link('#/runs?' + new URLSearchParams({ workflow: w.name }), w.name), String(w.version), w.function, w.owner,
			w.paused ? state('paused') : 'goes on', time(w.defined_at), pauseOrResume(w)]), 'No workflows.')];
}

export async function ways() {
	const [hooks, plans] = await Promise.all([get('webhooks'), get('schedules')]);
	return [el('h1', {}, 'Webhooks and schedules'), el('h2', {}, 'Webhooks'),
		table('Webhooks', ['Path', 'Starts', 'Signals', 'Event', 'Key', 'Verified', 'Owner'],
			hooks.map(w => [w.path, w.starts, w.signals, w.event, w.key, w.verify, w.owner]), 'No webhooks.'),
		el('h2', {}, 'Schedules'),
		table('Schedules', ['Name', 'Times', 'Workflow', 'Last fired', 'Last said', 'Owner'], plans.map(s => [s.name, s.cron, s.workflow,
			time(s.last_at), [s.last_status, s.last_message].filter(Boolean).join(': '), s.owner]), 'No schedules.')];
}
