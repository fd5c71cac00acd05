/* The workflows, and the ways in: webhooks and schedules. */

import { pauseOrResume } from './actions.js';
import { el, empty, link, table } from './dom.js';
import { address } from './place.js';
import { state, time } from './words.js';

const live = ['queued', 'running', 'waiting', 'rolling_back'];

function newestOf(list) {
	const seen = new Map();
	for (const w of list) if (!seen.has(w.name)) seen.set(w.name, w);
	return [...seen.values()];
}

export const workflows = {
	title: 'Workflows',
	ask: () => ({ list: ['workflows'], counts: ['counts'] }),
	draw({ list, counts }) {
		const count = (name, states) => counts.filter(c => c.workflow === name && states.includes(c.state)).reduce((n, c) => n + c.runs, 0);
		const number = (name, states, one) => {
			const n = count(name, states);
			return n ? link(address('runs', { workflow: name, state: one }), n.toLocaleString()) : '0';
		};
		if (!list.length) return [el('h1', {}, 'Workflows'), el('div', { class: 'card empty' }, el('h2', {}, 'No workflows yet'), el('p', {}, 'A workflow is a function, and a name for it:'),
			el('pre', { tabindex: 0 }, "SELECT dataflows.define_workflow('your-workflow', 'your_function');"))];
		return [el('h1', {}, 'Workflows'), table('Workflows', ['Workflow', 'State', 'Live', 'Need a person', 'Completed', 'Function', 'Owner', 'Defined', 'Actions'], newestOf(list).map(w => ({
			key: w.name, cells: [el('span', { class: 'who' }, link(address('runs', { workflow: w.name }), w.name), el('span', { class: 'soft' }, 'version ' + w.version)),
				w.paused ? state('paused') : 'runs', number(w.name, live, ''), number(w.name, ['stuck'], 'stuck'), number(w.name, ['completed'], 'completed'),
				el('code', {}, w.function), w.owner, time(w.defined_at), pauseOrResume(w)] })))];
	},
};

export const ways = {
	title: 'Webhooks and schedules',
	ask: () => ({ hooks: ['webhooks'], plans: ['schedules'] }),
	draw({ hooks, plans }) {
		return [el('h1', {}, 'Webhooks and schedules'), el('h2', {}, 'Webhooks'),
			hooks.length ? table('Webhooks', ['Path', 'Starts', 'Signals', 'Event', 'Key', 'Verified', 'Owner'],
				hooks.map(w => ({ key: w.path, cells: [el('code', {}, w.path), w.starts, w.signals, w.event, w.key, w.verify, w.owner] })))
				: empty('No webhooks', 'A URL that starts or signals runs is made with ', el('code', {}, 'dataflows.create_webhook()'), '.'),
			el('h2', {}, 'Schedules'),
			plans.length ? table('Schedules', ['Name', 'Times', 'Workflow', 'Last fired', 'Last said', 'Owner'], plans.map(s => ({
				key: s.name, cells: [s.name, el('code', {}, s.cron), s.workflow, time(s.last_at), [s.last_status, s.last_message].filter(Boolean).join(': '), s.owner] })))
				: empty('No schedules', 'Runs at set times are made with ', el('code', {}, 'dataflows.schedule()'), ', which uses pg_cron.')];
	},
};
