/* The answers to the questions of a view, and again whenever they have changed. */

import { LoggedOut, get } from './server.js';

const pause = 2000;		/* ms between two looks */

/*
 * questions: { name: [call, query] }.  said(answers) is called once all are answered, and
 * then whenever one has changed; failed(error) when the server could not answer.  Returns
 * what ends it.
 */
export function watch(questions, said, failed) {
	let timer = 0, over = false, told = null;

	async function look() {
		clearTimeout(timer);
		if (over || document.hidden) return;
		try {
			const names = Object.keys(questions);
			const answers = await Promise.all(names.map(name => get(...questions[name])));
			if (over) return;
			if (!told || answers.some((a, i) => a !== told[i])) {
				told = answers;
				said(Object.fromEntries(names.map((name, i) => [name, answers[i]])));
			} else said(null);
		} catch (e) {
			if (over || e instanceof LoggedOut) return;
			failed(e);
		}
		if (!over) timer = setTimeout(look, pause);
	}
	const shown = () => { if (!document.hidden) look(); };
	document.addEventListener('visibilitychange', shown);
	look();
	return {
		now: look,
		end() {
			over = true;
			clearTimeout(timer);
			document.removeEventListener('visibilitychange', shown);
		},
	};
}
