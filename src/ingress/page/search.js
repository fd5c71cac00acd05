/* Finding runs by a text: what is indexed at once, then some thousand runs at a time, back in time. */

import { redraw } from './place.js';
import { LoggedOut, get, reason } from './server.js';

const most = 50;		/* are shown */
const steps = 40;		/* looks, before a person is asked whether to go on */

let present = null;		/* { id, query, found, next, looks, over, error } */

/* run ids begin with their milliseconds */
const timeOf = id => new Date(parseInt(id.replace('-', '').slice(0, 12), 16)).toISOString();

async function look(s) {
	try {
		if (!s.found) {
			const { text, workflow, state } = s.query;
			s.found = (await get('find', { text, workflow, state })).runs;
		}
		for (let n = 0; n < steps && s === present && !s.over && s.found.length < most; n++) {
			const { runs, next } = await get('search', { ...s.query, before: s.next });
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
		present = { id, query, found: null, next: '', over: false, looking: true, error: null };
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
