/* The server: questions, and what is asked of it.  The token is in a cookie that no script can read. */

const known = new Map();		/* path -> { tag, data } of the last answer */
let atLogout = () => {};

export function onLogout(f) { atLogout = f; }
export function forgetAnswers() { known.clear(); }

/* thrown when the log-in has ended: what there is to say was shown already */
export class LoggedOut extends Error {}

async function answerOf(response, path) {
	const data = await response.json();
	if (response.status === 401 && path !== 'login') {
		atLogout();
		throw new LoggedOut();
	}
	if (!response.ok) throw data;
	return data;
}

export const pathOf = (name, query) => name + '?' + new URLSearchParams(Object.entries(query || {}).filter(e => e[1]));

export async function get(name, query) {
	const path = 'api/' + pathOf(name, query);
	const before = known.get(path);
	const response = await fetch(path, { headers: before ? { 'If-None-Match': before.tag } : {}, cache: 'no-store' });
	if (response.status === 304) return before.data;
	const data = await answerOf(response, path);
	if (known.size > 40) known.clear();
	known.set(path, { tag: response.headers.get('ETag'), data });
	return data;
}

export async function post(path, body) {
	const headers = { 'Content-Type': 'application/json', 'X-Dataflows': '1' };
	return answerOf(await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) }), path);
}

/* the server gave up: there was too much to look at */
export const isLate = error => Boolean(error) && error.sqlstate === '57014';

export function reason(error) {
	if (error && error.error) return [error.error, error.detail, error.hint].filter(Boolean).join(' — ');
	return 'The server cannot be reached.';
}
