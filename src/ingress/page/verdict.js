/* What is the matter with a run, in words, and what a person can do about it. */

import { abandon, cancel, resolve, restart, retry, signal, undo } from './actions.js';
import { el, link } from './dom.js';
import { remedy } from './needs.js';
import { aged, cut, millis, plural, sign, span, time, timeless, word } from './words.js';

const said = a => [a.status, a.error].filter(Boolean).join(' ');

function undoCount(d) {
	const all = d.steps.filter(s => s.undo_state !== 'none');
	const done = all.filter(s => s.undo_state === 'undone' || s.undo_state === 'gone');
	return all.length ? done.length + ' of ' + plural(all.length, 'step') + ' undone' : 'there was nothing to undo';
}

/* who asked for it, of what people asked of the run */
function asker(d, request) {
	const q = d.requests.find(x => x.request === request);
	return q ? ' by ' + q.sent_by + (q.on_behalf_of ? ' for ' + q.on_behalf_of : '') + (q.note ? ': ' + cut(q.note) : '') : '';
}

function retried(d) {
	const s = d.steps.find(x => !x.finished_at && x.state === 'pending' && x.attempts > 0);
	const a = s && d.attempts.filter(x => x.n === s.n && !x.undo).sort((x, y) => millis(y.at) - millis(x.at))[0];
	return s && { s, a };
}

/* a wait for one event has its name, the second wait for it name#2 */
function eventOf(r, step) {
	const name = step && step.step.replace(/#\d+$/, '');
	return name && (r.waiting_for === name || r.waiting_for.startsWith(name + ' by ')) ? name : null;
}

/* as SQL says it: shorter than the error, and with the system's name */
const failure = r => r.reason || r.error?.message || 'no reason is recorded';

/* the step whose failure failed the run */
const culprit = d => [...d.steps].reverse().find(s => s.state === 'failed' && s.error);

const kinds = {
	stuck(d) {
		const r = d.run, many = d.pending.map(p => {
			const s = d.steps.find(x => x.n === p.n) || {};
			return el('li', {}, el('strong', {}, p.step), p.system ? ' in ' + p.system : '', ': ' + p.why, ' ', resolve(r, { ...p, undo_failed: s.undo_state === 'undo_failed' }, true));
		});
		return { hue: 'bad', title: 'Needs a person: ' + (r.stuck?.reason || 'no reason is recorded'), words: [
			r.cause === 'failed' && r.error?.message ? el('p', {}, 'It failed, and is to be undone, because: ' + cut(r.error.message)) : null,
			many.length ? el('p', {}, 'Look in the system, then say what you have found:') : r.stuck?.remedy ? el('p', { class: 'remedy' }, remedy(r.stuck.remedy)) : null,
			many.length ? el('ul', { class: 'settle' }, many) : null,
			r.stuck?.context ? el('p', { class: 'soft' }, cut(r.stuck.context)) : null],
		actions: [retry(r, !many.length), r.cause ? null : cancel(r, d.steps), abandon(r)], since: d.since };
	},
	rolling_back: d => ({ hue: 'undo', title: 'Is being undone: ' + (d.run.error?.message || d.run.cause || ''), words: el('p', {}, undoCount(d) + '.'), actions: [] }),
	rolled_back(d) {
		const s = culprit(d);
		const title = d.run.cause === 'undo' ? 'Was undone' + asker(d, 'undo') : 'Failed: ' + failure(d.run);
		return { hue: 'undo', title,
			words: el('p', {}, undoCount(d) + '. ', s && s.system && !title.includes('step "' + s.step + '"') && !title.includes(s.error) ? s.system + ' said ' + cut(s.error) + '. ' : '',
				d.run.cause === 'undo' ? '' : 'If the cause is settled, start it again.'), actions: [restart(d.run)] };
	},
	cancelled: d => ({ hue: 'undo', title: 'Cancelled' + asker(d, 'cancel'), words: el('p', {}, undoCount(d) + '.'), actions: [restart(d.run)] }),
	abandoned: d => ({ hue: 'bad', title: 'Abandoned' + asker(d, 'abandon'), words: el('p', {}, 'Nothing was undone: what it has made is still in the systems.'), actions: [] }),
	completed: d => ({ hue: 'good', title: 'Completed in ' + span(millis(d.run.finished_at) - millis(d.run.started_at)), words: null, actions: [undo(d.run, d.steps)] }),
	live(d) {
		const r = d.run, again = retried(d), actions = [signal(r), cancel(r, d.steps)];
		if (again) return { hue: 'warn', mark: 'retrying', title: again.s.step + ' is tried again' + (again.s.reason ? ': ' + timeless(again.s.reason).replace(/^step "[^"]*": /, '') : again.a ? ' after ' + said(again.a) : ''),
			words: el('p', {}, plural(again.s.attempts, 'attempt') + ' failed', again.s.wake_at ? ['. The next one is ', aged(again.s.wake_at)] : '', '. Nothing needs to be done while ', again.s.system || 'the system', ' is expected to come back.'), actions };
		if (r.state === 'waiting' && r.waiting_for) {
			const event = d.steps.find(s => s.kind === 'wait' && !s.finished_at);
			const child = d.steps.find(s => s.kind === 'call' && !s.finished_at && s.child);
			return { hue: 'info', title: 'Waits for ' + r.waiting_for, words: el('p', {}, child ? ['The run that it has called: ', link('#/run/' + child.child, child.step), '. '] : '',
				r.wake_at && !isNaN(millis(r.wake_at)) ? ['Until ', time(r.wake_at), '; then it goes on without it.'] : 'Without a limit.'),
			actions: [signal(r, eventOf(r, event), !!event), cancel(r, d.steps)] };
		}
		return { hue: 'info', title: r.state === 'queued' ? 'Is about to begin' : 'Works' + (r.step ? ' on ' + r.step : ''), words: null, actions };
	},
};

export function verdict(d) {
	const r = d.run, v = (kinds[r.state] || kinds.live)(d);
	return el('section', { class: 'verdict ' + v.hue, 'aria-label': 'What is the matter' }, el('p', { class: 'state-word' }, word(r.state)),
		el('h2', {}, el('span', { 'aria-hidden': 'true', class: 'mark' }, sign(v.mark || r.state)), ' ', el('span', {}, cut(v.title))),
		v.since ? el('p', { class: 'soft' }, 'Since ', time(v.since)) : null, v.words,
		r.drifted ? el('p', { class: 'warn' }, '! Its function was replaced while it ran.') : null,
		v.actions.some(Boolean) ? el('div', { class: 'actions' }, v.actions) : null);
}
