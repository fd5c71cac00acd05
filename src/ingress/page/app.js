/* The frame: logging in, which view, and drawing it anew when there is something new. */

import { closeDialogs, onAction } from './actions.js';
import { el, empty, link, patch } from './dom.js';
import { watch } from './live.js';
import { needs } from './needs.js';
import { onRedraw, place } from './place.js';
import { run } from './run.js';
import { runs } from './runs.js';
import { forgetAnswers, get, LoggedOut, onLogout, post, reason } from './server.js';
import { systems } from './systems.js';
import { zone } from './words.js';
import { ways, workflows } from './workflows.js';

/* a view: title, ask(place): its questions, draw(answers, place), and holds(): it must stay as it is */
const views = { runs, needs, systems, workflows, ways };
const others = { run, stuck: needs, charts: systems };
const [top, main, nav, notice, who, logout, theme, live, menu, foot] =
	['top', 'main', 'nav', 'notice', 'who', 'logout', 'theme', 'live', 'menu', 'foot'].map(id => document.getElementById(id));
let at = null;			/* where we are: { hash, place, view } */
let watching = null;
let answers = null;		/* of the view */
let newer = false;		/* they are not drawn yet */
let paused = false;
let reached = true;

function say(text, bad) {
	notice.className = bad ? 'bad' : '';
	notice.textContent = bad && text ? '! ' + text : text;
}

/* ---- logging in ---- */

function showLogin() {
	watching?.end();
	watching = at = answers = null;
	forgetAnswers();
	closeDialogs();
	for (const part of [nav, logout, live, menu]) part.hidden = true;
	who.textContent = foot.textContent = '';
	const input = el('input', { type: 'password', name: 'token', autocomplete: 'off', required: true, spellcheck: 'false' });
	const form = el('form', { method: 'post', onsubmit: async event => {
		event.preventDefault();
		try {
			await post('login', { token: input.value.trim() });
			say('');
			begin();
		} catch (e) { say(reason(e), true); }
	} }, el('label', {}, 'Token', input), el('button', { class: 'main' }, 'Log in'),
		el('p', { class: 'soft' }, 'Make one in SQL, as the role whose runs you want to see: ', el('code', {}, 'SELECT dataflows.dashboard_token();')));
	main.replaceChildren(el('div', { class: 'card login' }, el('h1', {}, 'Log in'), form));
	input.focus();
}

/* ---- drawing ---- */

function selecting() {
	const s = getSelection();
	return !!s && !s.isCollapsed && main.contains(s.anchorNode);
}

const held = () => paused || selecting() || !!at.view.holds?.();

function showLive() {
	const [mark, text] = !reached ? ['✕', 'Not connected'] : paused ? ['‖', newer ? 'Paused, newer is there' : 'Paused']
		: newer ? ['‖', 'Held while you choose'] : ['●', 'Live'];
	live.className = !reached ? 'bad' : paused || newer ? 'warn' : 'good';
	live.setAttribute('aria-pressed', String(paused));
	live.title = paused ? 'Show what is new' : 'Leave the page as it is';
	live.replaceChildren(el('span', { 'aria-hidden': 'true' }, mark), el('span', { class: 'words' }, ' ' + text));
}

function draw(anew) {
	const box = el('div', {}, at.view.draw(answers, at.place));
	patch(main, box, anew);
	newer = false;
	main.dataset.at = location.hash;
	const n = answers.attention.runs;
	for (const place of [nav.querySelector('a[href="#/needs"]'), menu]) {
		place.querySelector('.count')?.remove();
		if (n > 0) place.append(el('span', { class: 'count' }, ' ', el('span', { class: 'badge' }, n >= 1000 ? '999+' : String(n))));
	}
	document.title = (n > 0 ? '(' + n + ') ' : '') + (at.view.name?.(answers) || at.view.title) + ' · dataflows';
	showLive();
}

function said(fresh, first) {
	reached = true;
	if (notice.className === 'bad') say('');
	if (fresh) {
		answers = fresh;
		if (!first && held()) newer = true;
		else draw(first);
	}
	showLive();
}

function failed(e) {
	reached = !!(e && e.error);
	say(reason(e), true);
	if (!answers && e && e.error) main.replaceChildren(empty(e.error, e.hint || '', ' ', link('#/runs', 'All runs')));
	showLive();
}

function route() {
	const where = place();
	const name = views[where.view] || others[where.view] ? where.view : 'runs';
	const view = views[name] || others[name];
	let first = true;
	watching?.end();
	if (!at || at.view !== view) view.begin?.();
	at = { place: where, view };
	answers = null;
	newer = false;
	nav.replaceChildren(...Object.entries(views).map(([key, v]) =>
		el('a', { href: '#/' + key, 'aria-current': v === view || (name === 'run' && key === 'runs') ? 'page' : null }, v.title)));
	top.classList.remove('open');
	menu.setAttribute('aria-expanded', 'false');
	say('');
	watching = watch({ attention: ['attention'], ...view.ask(where) }, fresh => {
		said(fresh, first);
		first = false;
	}, failed);
}

async function begin() {
	try {
		const me = await get('me');
		who.textContent = me.role + ' @ ' + me.database;
		foot.textContent = 'Times are those of ' + zone() + '.';
		for (const part of [nav, logout, live, menu]) part.hidden = false;
		route();
	} catch (e) {
		if (e instanceof LoggedOut) return;
		say(reason(e), true);
		setTimeout(begin, 2000);
	}
}

/* ---- the rest ---- */

function setTheme(dark) {
	document.documentElement.classList.toggle('dark', dark);
	theme.textContent = dark ? 'Light' : 'Dark';
}
/* what was chosen here stays, if the browser keeps anything; else it is as the system wishes */
let chosen = null;
try { chosen = localStorage.getItem('theme'); } catch { /* it keeps nothing */ }
const wish = matchMedia('(prefers-color-scheme: dark)');
function followWish() {
	setTheme(chosen === null ? wish.matches : chosen === 'dark');
	document.dispatchEvent(new Event('theme'));
}
followWish();
wish.addEventListener('change', followWish);
theme.addEventListener('click', () => {
	chosen = document.documentElement.classList.contains('dark') ? 'light' : 'dark';
	followWish();
	try { localStorage.setItem('theme', chosen); } catch { /* for now, then */ }
});

logout.addEventListener('click', async () => {
	try {
		await post('logout', {});
		showLogin();
	} catch (e) { if (!(e instanceof LoggedOut)) say(reason(e), true); }
});
menu.addEventListener('click', () => menu.setAttribute('aria-expanded', String(top.classList.toggle('open'))));
live.addEventListener('click', () => {
	paused = !paused;
	if (!paused && answers) draw();
	showLive();
});
document.addEventListener('selectionchange', () => { if (newer && at && !held()) draw(); });
/* ages grow by themselves */
setInterval(() => { if (answers && !document.hidden && !held()) draw(); }, 10000);

onLogout(showLogin);
onRedraw(() => { if (answers) draw(); });
onAction(text => {
	say(text);
	watching?.now();
});
window.addEventListener('hashchange', () => { if (!nav.hidden) route(); });
begin();
