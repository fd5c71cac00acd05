/*
 * The answers to the questions of a view, and again whenever they have changed: the server
 * tells them by Server-Sent Events.  If it does not, they are asked for every two seconds.
 */

import { LoggedOut, get, pathOf } from './server.js';
import { setClock } from './words.js';

const pause = 2000;		/* ms between two looks */

/* asks again and again */
function poll(questions, said, failed) {
	let timer = 0, over = false, told = null;

	async function look() {
		clearTimeout(timer);
		if (over) return;
		try {
			const names = Object.keys(questions);
			const answers = await Promise.all(names.map(name => get(...questions[name])));
			if (over) return;
			const same = told && answers.every((a, i) => a === told[i]);
			told = answers;
			said(same ? null : Object.fromEntries(names.map((name, i) => [name, answers[i]])));
		} catch (e) {
			if (over || e instanceof LoggedOut) return;
			failed(e);
		}
		if (!over) timer = setTimeout(look, pause);
	}
	look();
	return { now: look, end() { over = true; clearTimeout(timer); } };
}

/* is told; gone(): there are no events to be had */
function listen(questions, said, failed, gone) {
	const names = Object.keys(questions), answers = {};
	const source = new EventSource('live?' + new URLSearchParams(names.map(name => ['q', pathOf(...questions[name])])));

	names.forEach((name, i) => source.addEventListener(String(i), event => {
		answers[name] = JSON.parse(event.data);
		if (answers[name] === null) failed({ error: 'There is no such run, or it is not yours to see.' });
		else if (names.every(n => answers[n] != null)) said({ ...answers });
	}));
	source.addEventListener('hello', event => {
		setClock(JSON.parse(event.data).now);
		said(null);
	});
	source.addEventListener('problem', event => failed(JSON.parse(event.data)));
	source.addEventListener('end', () => {
		source.close();
		get('me').catch(() => {}).then(gone);
	});
	source.addEventListener('error', () => {
		if (source.readyState === EventSource.CLOSED) gone(); else failed(null);
	});
	return { now() {}, end() { source.close(); } };
}

/*
 * questions: { name: [call, query] }.  said(answers) is called once all are answered, and
 * then whenever one has changed; said(null): the server is there; failed(error) when it
 * could not answer.  While the page is not looked at, nothing is asked.
 */
export function watch(questions, said, failed) {
	let present = null, over = false;

	function begin() {
		if (over || document.hidden || present) return;
		present = listen(questions, said, failed, () => {
			if (!over && present) present = poll(questions, said, failed);
		});
	}
	function end() {
		present?.end();
		present = null;
	}
	const looked = () => { if (document.hidden) end(); else begin(); };
	document.addEventListener('visibilitychange', looked);
	begin();
	return {
		now: () => present?.now(),
		end() {
			over = true;
			end();
			document.removeEventListener('visibilitychange', looked);
		},
	};
}
