/* What people ask of runs: a dialog for each, and what came of it. */

import { el, button } from './dom.js';
import { LoggedOut, post, reason } from './server.js';

let whenDone = () => {};
export function onAction(f) { whenDone = f; }

let dialogs = 0;

function field(f) {
	const attributes = { name: f.name, required: f.required };
	return el('label', {}, f.label, f.options ? el('select', attributes, f.options.map(o => el('option', { value: o }, o)))
		: f.short ? el('input', attributes) : el('textarea', { ...attributes, rows: 2 }));
}

function ask(title, name, fixed, fields) {
	const error = el('p', { role: 'alert', class: 'bad' });
	const id = 'dialog-' + ++dialogs;
	const form = el('form', { method: 'dialog' }, el('h2', { id }, title), fields.map(field), error,
		el('div', { class: 'actions' }, el('button', { class: 'main' }, title), button('Back', () => dialog.close())));
	const dialog = el('dialog', { 'aria-labelledby': id, onclose: () => dialog.remove() }, form);
	const submit = form.querySelector('button.main');
	form.addEventListener('submit', async event => {
		event.preventDefault();
		const body = { ...fixed };
		for (const [key, value] of new FormData(form)) if (value) body[key] = value;
		submit.disabled = true;
		try {
			const answer = await post('api/' + name, body);
			dialog.close();
			whenDone(title + (answer.done ? ': asked for.' : ': there was nothing to do.'));
		} catch (e) {
			if (!(e instanceof LoggedOut)) error.textContent = reason(e);
		}
		submit.disabled = false;
	});
	document.body.append(dialog);
	dialog.showModal();
}

export function closeDialogs() { document.querySelectorAll('dialog').forEach(d => d.close()); }

const action = (label, name, fixed, fields) => button(label, () => ask(label, name, fixed, fields));
const note = { name: 'note', label: 'Note (optional)' };
const why = { name: 'note', label: 'Note: why, for the record', required: true };

export function runActions(r) {
	const id = { run: r.run }, live = !r.finished_at, list = [];
	if (r.state === 'stuck') list.push(action('Retry', 'retry', id, [note]), action('Abandon', 'abandon', id, [why]));
	if (live && r.state !== 'rolling_back') list.push(action('Cancel and undo', 'cancel', id, [note]));
	if (r.state === 'completed') list.push(action('Undo', 'undo', id, [why]));
	if (live) list.push(action('Signal', 'signal', id,
		[{ name: 'event', label: 'Event', required: true, short: true }, { name: 'payload', label: 'Payload, JSON' }]));
	return list.length ? el('div', { class: 'actions' }, list) : null;
}

/* by its number: a name may be the one of several rounds */
export const settle = (run, n) => action('Resolve', 'resolve', { run, step: '#' + n }, [
	{ name: 'outcome', label: 'Outcome', options: ['done', 'not_done', 'resend', 'skipped', 'undone'] }, why,
	{ name: 'output', label: 'What it returned, JSON (for done)' }]);

export const pauseOrResume = w => w.paused ? action('Resume', 'resume', { workflow: w.name }, [note])
	: action('Pause', 'pause', { workflow: w.name }, [note]);
