/* What people ask of runs: a dialog for each, which says what will happen, and what came of it. */

import { button, el } from './dom.js';
import { go } from './place.js';
import { LoggedOut, post, reason } from './server.js';
import { plural } from './words.js';

let whenDone = () => {};
export function onAction(f) { whenDone = f; }

let dialogs = 0;

function choice(f) {
	return el('fieldset', {}, el('legend', {}, f.label), f.choices.map(c => el('label', { class: 'choice' },
		el('input', { type: 'radio', name: f.name, value: c.value, required: true }),
		el('span', {}, el('strong', {}, c.label), el('span', { class: 'soft' }, c.help)))));
}

function field(f) {
	if (f.choices) return choice(f);
	const attributes = { name: f.name, required: f.required };
	return el('label', {}, f.label, f.short ? el('input', attributes) : el('textarea', { ...attributes, rows: 2 }));
}

function came(title, answer) {
	if (answer.of != null)
		return title + ': ' + (answer.done === answer.of ? plural(answer.done, 'run') : answer.done + ' of ' + plural(answer.of, 'run')) + '.'
			+ (answer.of >= 1000 ? ' There may be more: ask again.' : '');
	return title + (answer.done ? ': asked for.' : ': there was nothing to do.');
}

/* words: what will happen; fields: what is asked for; label: of the button that does it; then: with the answer */
function ask({ title, words, name, fixed, fields, label, danger, then }) {
	const error = el('p', { role: 'alert', class: 'bad' });
	const id = 'dialog-' + ++dialogs;
	const form = el('form', { method: 'dialog' }, el('h2', { id }, title), el('div', { class: 'words' }, words), fields.map(field), error,
		el('div', { class: 'actions' }, el('button', { class: danger ? 'danger' : 'main' }, label), button('Back', () => dialog.close())));
	const dialog = el('dialog', { 'aria-labelledby': id, onclose: () => dialog.remove() }, form);
	const submit = form.querySelector('button');
	form.addEventListener('submit', async event => {
		event.preventDefault();
		const body = { ...fixed };
		for (const [key, value] of new FormData(form)) if (value) body[key] = value;
		submit.disabled = true;
		try {
			const answer = await post('api/' + name, body);
			dialog.close();
			whenDone(came(label, answer));
			then?.(answer);
		} catch (e) {
			if (!(e instanceof LoggedOut)) error.textContent = reason(e) + (e.error ? '' : ' It may have been asked for: look at what has changed before you ask again.');
		}
		submit.disabled = false;
	});
	document.body.append(dialog);
	dialog.showModal();
	(form.querySelector('input,textarea') || form.querySelector('.actions button:last-child')).focus();
}

export function closeDialogs() { document.querySelectorAll('dialog').forEach(d => d.close()); }

const action = (label, what, more) => button(label, () => ask({ label, ...what() }), more);
const note = { name: 'note', label: 'Note (optional)' };
const why = { name: 'note', label: 'Note: why, for the record', required: true };
const nameOf = r => (r.key ? r.key + ' (' + r.workflow + ')' : 'this run of ' + r.workflow);
const p = (...words) => el('p', {}, words);

/* ---- one run ---- */

/* steps that a rollback undoes, the newest first; NULL = they are not known here */
function undone(steps) {
	if (!steps) return p('What the run has done is undone, the newest step first.');
	const list = steps.filter(s => s.undo && s.state === 'done' && (s.undo_state === 'none' || s.undo_state === 'due')).reverse();
	if (!list.length) return p('Nothing is undone: no step that is done has an undo.');
	return [p('This is undone, in this order:'), el('ol', {}, list.slice(0, 20).map(s => el('li', {}, s.step + ': ', el('code', {}, s.undo))),
		list.length > 20 ? el('li', {}, 'and ' + (list.length - 20) + ' more') : null)];
}

export const retry = (r, main) => action('Retry', () => ({ title: 'Retry ' + nameOf(r) + '?', name: 'retry', fixed: { run: r.run }, fields: [note],
	words: p('The run goes on where it got stuck. What is recorded as done is not sent again.') }), { class: main ? 'main' : null });

export const cancel = (r, steps) => action('Cancel and undo', () => ({ title: 'Cancel ' + nameOf(r) + '?', name: 'cancel', fixed: { run: r.run },
	fields: [note], words: undone(steps), danger: true }));

export const abandon = r => action('Abandon', () => ({ title: 'Abandon ' + nameOf(r) + '?', name: 'abandon', fixed: { run: r.run }, fields: [why],
	words: p('The run ends as it is. Nothing is undone and nothing more is done: what it has made stays in the systems, and is yours to clear up.'), danger: true }));

export const undo = (r, steps) => action('Undo', () => ({ title: 'Undo ' + nameOf(r) + '?', name: 'undo', fixed: { run: r.run }, fields: [why],
	words: undone(steps), danger: true }));

export const restart = r => action('Start again', () => ({ title: 'Start ' + nameOf(r) + ' again?', name: 'restart', fixed: { run: r.run }, fields: [],
	words: p('A new run begins with the same input and key, in the newest version of the workflow. This one stays as it is.'), then: a => go('run/' + a.done) }));

export const signal = (r, event, main) => action('Signal', () => ({ title: 'Signal ' + nameOf(r), name: 'signal', fixed: { run: r.run, ...event ? { event } : {} },
	words: p(event ? ['It waits for ', el('strong', {}, event), ', and goes on when that comes.'] : 'An event for which the body waits, now or later.'),
	fields: [...event ? [] : [{ name: 'event', label: 'Event', required: true, short: true }], { name: 'payload', label: 'Payload, JSON (optional)' }] }), { class: main ? 'main' : null });

/* ---- a step that only a person can settle ---- */

function outcomes(s) {
	const request = s.request || s.step;
	if (s.undo_failed) {
		const list = [{ value: 'undone', label: 'I have undone it by hand', help: s.undo ? 'The system no longer has what ' + s.undo + ' would take back.' : 'The system no longer has it.' },
			{ value: 'not_done', label: 'There is nothing to undo', help: 'I have looked: ' + request + ' left nothing in the system, or it may stay.' }];
		if (s.state === 'in_doubt') list.push({ value: 'done', label: 'It was carried out: undo it', help: 'Give the output below; the undo is rendered from it.' });
		return list;
	}
	return [{ value: 'done', label: 'It was carried out', help: 'The system has it. The run goes on with the output below.' },
		{ value: 'not_done', label: 'It was not carried out', help: 'The step fails, and the body learns it.' },
		{ value: 'resend', label: 'Send it again', help: request + ' is sent once more, with a new key. If it was carried out, it is there twice then.' },
		{ value: 'skipped', label: 'Go on without it', help: 'The step counts as done with the output below, and is not undone later.' }];
}

/* by its number: a name may be the one of several rounds; r: its run, s: as in pending_undo */
export const resolve = (r, s, main) => action('Resolve', () => ({
	title: 'Resolve step ' + s.step + ' of ' + nameOf(r), name: 'resolve', fixed: { run: r.run, step: '#' + s.n },
	words: [p(s.undo_failed ? 'Its undo failed' : 'It may have been carried out', s.system ? ' in ' + s.system : '', ': ', el('code', {}, s.undo_failed && s.undo || s.request || s.step)),
		s.undo_failed && s.why ? p('Why: ' + s.why) : null, s.answered ? p((s.undo_failed ? 'The step itself was answered: ' : 'Answered: ') + s.answered) : null, s.probe ? p('Asked the system: ' + s.probe) : null,
		s.idempotency_key ? p('Look for the key ', el('code', {}, s.idempotency_key)) : null],
	fields: [{ name: 'outcome', label: 'What have you found?', choices: outcomes(s) }, why,
		outcomes(s).some(o => o.value === 'done') ? { name: 'output', label: 'Output, JSON (for “carried out”)' } : []].flat() }),
{ class: main ? 'main' : null, 'aria-label': 'Resolve step ' + s.step + ' of ' + nameOf(r) });

export const resolveAll = g => action('Resolve all ' + g.n, () => ({
	title: 'Resolve step ' + g.step + ' of ' + plural(g.n, 'run') + ' of ' + g.workflow, name: 'resolve_reason', fixed: { workflow: g.workflow, step: g.step, reason: g.why, newest: g.newest },
	words: p('The same holds for all of them. Look at each in ' + (g.system || 'the system') + ' first.'),
	fields: [{ name: 'outcome', label: 'What have you found?', choices: outcomes(g.runs[0]).filter(o => o.value !== 'done') }, why] }));

/* ---- many runs ---- */

const all = (g, verb) => verb + ' all ' + g.n;
/* those that were seen: what has come since was not looked at */
const ofReason = g => ({ workflow: g.workflow, sqlstate: g.sqlstate, reason: g.reason, newest: g.newest });

export const retryAll = g => action(all(g, 'Retry'), () => ({ title: 'Retry ' + plural(g.n, 'run') + ' of ' + g.workflow + '?', name: 'retry_reason', fixed: ofReason(g),
	words: [p('All that are stuck because: ', el('strong', {}, g.reason)), p('Each goes on where it got stuck. What is recorded as done is not sent again.')], fields: [note] }), { class: 'main' });
export const cancelAll = g => action(all(g, 'Cancel and undo'), () => ({ title: 'Cancel ' + plural(g.n, 'run') + ' of ' + g.workflow + '?', name: 'cancel_reason', fixed: ofReason(g),
	words: [p('All that are stuck because: ', el('strong', {}, g.reason)), undone(null)], fields: [note], danger: true }));
export const abandonAll = g => action(all(g, 'Abandon'), () => ({ title: 'Abandon ' + plural(g.n, 'run') + ' of ' + g.workflow + '?', name: 'abandon_reason', fixed: ofReason(g),
	words: [p('All that are stuck because: ', el('strong', {}, g.reason)), p('They end as they are. Nothing is undone: what they have made stays in the systems.')], fields: [why], danger: true }));

const names = list => el('ul', {}, list.slice(0, 8).map(r => el('li', {}, r.key || r.run)), list.length > 8 ? el('li', {}, 'and ' + (list.length - 8) + ' more') : null);
export const retryThese = (list, then) => action('Retry ' + list.length, () => ({ title: 'Retry ' + plural(list.length, 'run') + '?', name: 'retry_runs',
	fixed: { runs: list.map(r => r.run) }, words: [names(list), p('Those that are stuck go on where they got stuck; the others are left as they are.')], fields: [note], then }), { class: 'main' });
export const cancelThese = (list, then) => action('Cancel and undo ' + list.length, () => ({ title: 'Cancel ' + plural(list.length, 'run') + '?', name: 'cancel_runs',
	fixed: { runs: list.map(r => r.run) }, words: [names(list), undone(null), p('Those that have ended are left as they are.')], fields: [note], danger: true, then }));

/* ---- workflows and systems ---- */

export const pauseOrResumeSystem = s => s.paused_by
	? action('Resume', () => ({ title: 'Resume ' + s.system + '?', name: 'resume_system', fixed: { system: s.system }, fields: [], words: p('Its requests go on within seconds.') }),
		{ 'aria-label': 'Resume ' + s.system })
	: action('Pause', () => ({ title: 'Pause ' + s.system + '?', name: 'pause_system', fixed: { system: s.system }, fields: [note],
		words: p('Nothing is sent to it, by any workflow, until it is resumed. Nothing is lost, no attempt is used, and deadlines stand still.') }), { 'aria-label': 'Pause ' + s.system });

export const pauseOrResume = w => w.paused
	? action('Resume', () => ({ title: 'Resume ' + w.name + '?', name: 'resume', fixed: { workflow: w.name }, fields: [note], words: p('Its runs go on.') }))
	: action('Pause', () => ({ title: 'Pause ' + w.name + '?', name: 'pause', fixed: { workflow: w.name }, fields: [note],
		words: p('No run of it moves until it is resumed. New ones are taken in and wait.') }));
