/* Values as people read them: durations, times, states. */

import { el } from './dom.js';

export function span(ms) {
	if (ms < 0) ms = 0;
	if (ms < 1000) return Math.round(ms) + ' ms';
	if (ms < 59950) return (ms / 1000).toFixed(1) + ' s';
	const [m, h, d] = [60e3, 3600e3, 86400e3];
	const two = (big, unit, small, smaller) => {
		const rest = Math.floor(ms % big / small);
		return Math.floor(ms / big) + ' ' + unit + (rest ? ' ' + rest + ' ' + smaller : '');
	};
	if (ms < h) return two(m, 'min', 1e3, 's');
	return ms < d ? two(h, 'h', m, 'min') : two(d, 'd', h, 'h');
}

/* one unit: an age is looked at, not calculated with */
export function about(ms, whole = Math.floor) {
	const s = Math.round(Math.abs(ms) / 1000);
	if (s < 60) return s + ' s';
	if (s < 3600) return whole(s / 60) + ' min';
	return s < 172800 ? whole(s / 3600) + ' h' : whole(s / 86400) + ' days';
}

/* the server's clock tells ages; the browser's may be wrong */
let skew = 0;
export function setClock(ms) { skew = ms - Date.now(); }
export const now = () => Date.now() + skew;

export const millis = t => new Date(t).getTime();
/* a text of a body or a person may be as long as a book; the whole of it is shown elsewhere */
export const cut = (text, most = 1000) => text.length > most ? text.slice(0, most) + '…' : text;
export const plural = (n, one, many) => n + ' ' + (n === 1 ? one : many || one + 's');
/* a reason without its last time, which is the server's and is shown beside it as a local one */
export const timeless = reason => reason.replace(/; tries (again )?at [^;]*$/, '');
export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || 'local time';

const sameDay = (a, b) => a.toDateString() === b.toDateString();

export function clock(t) {
	const at = new Date(t), today = new Date(now());
	const day = sameDay(at, today) ? {} : { month: 'short', day: 'numeric', ...at.getFullYear() === today.getFullYear() ? {} : { year: 'numeric' } };
	return at.toLocaleString([], { ...day, hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
}

const title = t => new Date(t).toLocaleString([], { dateStyle: 'full', timeStyle: 'long' });

/* the local time, and how long ago or ahead that is */
export function time(t) {
	if (!t) return null;
	if (isNaN(millis(t))) return t; // infinity
	return el('time', { datetime: t, title: title(t) }, clock(t), ' ', el('span', { class: 'soft' }, age(t)));
}

export function age(t) {
	const ms = now() - millis(t);
	return ms < 0 ? 'in ' + about(ms, Math.round) : about(ms) + ' ago';
}

/* the age alone; the time is in its title */
export const aged = t => t && !isNaN(millis(t)) ? el('time', { datetime: t, title: title(t) }, age(t)) : t;

/* a state is told by a sign and a word; colour only repeats it */
const states = {
	completed: ['✓', 'good'], done: ['✓', 'good'], closed: ['✓', 'good', 'answers'],
	stuck: ['!', 'bad', 'needs a person'], undo_failed: ['!', 'bad', 'undo failed'], in_doubt: ['?', 'bad', 'in doubt'],
	failed: ['✕', 'bad'], open: ['✕', 'bad', 'not asked: keeps failing'], abandoned: ['⊘', 'bad'],
	undone: ['↶', 'undo'], gone: ['↶', 'undo', 'was gone already'], rolling_back: ['↶', 'undo', 'being undone'], rolled_back: ['↶', 'undo', 'undone'],
	cancelled: ['⊘', 'undo', 'cancelled'], half_open: ['◐', 'warn', 'is tried again'], paused: ['‖', 'warn'], retrying: ['↻', 'warn'],
	waiting: ['◷', 'info'], queued: ['○', 'quiet'], running: ['▸', 'info'], sent: ['▸', 'info', 'under way'], pending: ['○', 'quiet', 'to be sent'],
	due: ['○', 'undo', 'undo is due'],
};
export const stateNames = ['running', 'waiting', 'queued', 'rolling_back', 'stuck', 'completed', 'rolled_back', 'cancelled', 'abandoned'];
export const sign = s => (states[s] || ['·'])[0];
export const word = s => (states[s] || [])[2] || String(s).replace(/_/g, ' ');
export const hue = s => (states[s] || [])[1] || 'quiet';

export function state(s) {
	if (s == null) return null;
	return el('span', { class: 'state ' + hue(s) }, el('span', { 'aria-hidden': 'true' }, sign(s)), ' ' + word(s));
}
