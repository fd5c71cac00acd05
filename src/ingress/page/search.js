/* Finding runs by a text: what is indexed at once, then some thousand runs at a time, back in time. */

import { redraw } from './place.js';
import { LoggedOut, get, isLate, reason } from './server.js';

const most = 50;		/* are shown */
const steps = 40;		/* looks, before a person is asked whether to go on */
const windows = [5000, 500, 50];	/* runs that one look reads: fewer where inputs are large */

let present = null;		/* { id, query, found, next, window, over, error } */

/* run ids begin with their milliseconds */
const timeOf = id => new Date(parseInt(id.replace('-', '').slice(0, 12), 16)).toISOString();

/* a look that took too long is taken again at fewer runs, and so are those after it */
async function searched(s) {
	try {
		return await get('search', { ...s.query, before: s.next, window: windows[s.window] });
	} catch (e) {
		if (!isLate(e) || s.window === windows.length - 1) throw e;
		s.window++;
		return searched(s);
	}
}

async function look(s) {
	try {
		if (!s.found) {
			const { text, workflow, state } = s.query;
			s.found = (await get('find', { text, workflow, state })).runs;
		}
		for (let n = 0; n < steps && s === present && !s.over && s.found.length < most; n++) {
			const { runs, next } = await searched(s);
			for (const r of runs) if (!s.found.some(f => f.run === r.run)) s.found.push(r);
			s.next = next;
			s.over = !next || (s.query.since && timeOf(next) < s.query.since);
			if (s === present) redraw();
		}
	} catch (e) {
		if (e instanceof LoggedOut) return;
		s.error = reason(e);
	}
	s.looking = false;
	if (s === present) redraw();
}

/* the state of this search, which begins with the first call */
export function search(id, query) {
	if (!present || present.id !== id) {
		present = { id, query, found: null, next: '', window: 0, over: false, looking: true, error: null };
		look(present);
	}
	return { ...present, back: present.next ? timeOf(present.next) : null };
}

export function further() {
	if (present.found.length >= most) present.found = [];
	present.looking = true;
	look(present);
	redraw();
}

export function stop() { present = { ...present, looking: false }; redraw(); }
export function forget() { present = null; }
