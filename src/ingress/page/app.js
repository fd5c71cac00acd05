/* The frame: logging in, which view, and drawing it anew while it is looked at. */

import { closeDialogs, onAction } from './actions.js';
import { charts } from './charts.js';
import { el } from './dom.js';
import { stuck, systems, ways, workflows } from './lists.js';
import { run } from './run.js';
import { runs } from './runs.js';
import { LoggedOut, forgetAnswers, get, onLogout, post, reason } from './server.js';

const views = {
	runs: ['Runs', runs], stuck: ['Needs a person', stuck], systems: ['Systems', systems], charts: ['Charts', charts],
	workflows: ['Workflows', workflows], ways: ['Webhooks and schedules', ways],
};
const live = 2000, slow = 10000;		/* ms between two looks */
const [main, nav, notice, who, logout, theme] = ['main', 'nav', 'notice', 'who', 'logout', 'theme'].map(id => document.getElementById(id));
let timer = 0;
let turn = 0;				/* only the newest look draws */
let shown = { at: null };	/* what is drawn: its address and its text */

function say(text, bad) {
	notice.className = bad ? 'bad' : '';
	notice.textContent = bad && text ? '! ' + text : text;
}

/* ---- logging in ---- */

function showLogin() {
	clearTimeout(timer);
	turn++;
	shown = { at: null };
	forgetAnswers();
	closeDialogs();
	nav.hidden = logout.hidden = true;
	who.textContent = '';
	const input = el('input', { type: 'password', name: 'token', autocomplete: 'off', required: true, spellcheck: 'false' });
	const form = el('form', { method: 'post', onsubmit: async event => {
		event.preventDefault();
		try {
			await post('login', { token: input.value.trim() });
			say('');
			begin();
		} catch (e) { say(reason(e), true); }
	} }, el('label', {}, 'Token', input), el('button', { class: 'main' }, 'Log in'),
		el('p', { class: 'soft' }, 'Make one in SQL: ', el('code', {}, 'SELECT dataflows.dashboard_token();')));
	main.replaceChildren(el('div', { class: 'card login' }, el('h1', {}, 'Log in'), form));
	input.focus();
}

/* ---- drawing ---- */

function place() {
	const [view, ...rest] = location.hash.replace(/^#\/?/, '').split('?')[0].split('/').map(decodeURIComponent);
	return view === 'run' ? ['run', () => run(...rest)] : views[view] ? [view, views[view][1]] : ['runs', runs];
}

const controls = () => [...main.querySelectorAll('a,button,summary')];
const editing = () => main.contains(document.activeElement) && /INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName);

/* the same view with newer data: what was open stays open, what had the focus keeps it, a form is not taken away */
function draw(box) {
	const same = shown.at === location.hash;
	if (same && (box.textContent === shown.text || editing())) return;
	const focus = same ? controls().indexOf(document.activeElement) : -1;
	const open = same ? [...main.querySelectorAll('details[open]')].map(d => d.dataset.keep) : [];
	for (const d of box.querySelectorAll('details')) d.open = open.includes(d.dataset.keep);
	shown = { at: location.hash, text: box.textContent };
	main.replaceChildren(...box.childNodes);
	if (focus >= 0) controls()[focus]?.focus();
}

async function refresh() {
	clearTimeout(timer);
	const mine = ++turn;
	const [view, make] = place();
	try {
		const box = el('div', {}, await make());
		if (mine !== turn) return;
		if (notice.className === 'bad') say('');
		draw(box);
	} catch (e) {
		if (mine !== turn || e instanceof LoggedOut) return;
		say(reason(e), true);
		if (e && e.error && shown.at !== location.hash) {
			shown = { at: null };
			main.replaceChildren(el('p', { class: 'card' }, e.error));
		}
	}
	if (!document.hidden) timer = setTimeout(refresh, view === 'charts' ? slow : live);
}

function route() {
	const [view] = place();
	const current = view === 'run' ? 'runs' : view;
	nav.replaceChildren(...Object.entries(views).map(([name, [title]]) =>
		el('a', { href: '#/' + name, 'aria-current': name === current ? 'page' : null }, title)));
	say('');
	document.title = (view === 'run' ? 'Run' : views[view][0]) + ' · dataflows';
	refresh();
}

async function begin() {
	try {
		const me = await get('me');
		who.textContent = me.role + ' @ ' + me.database;
		nav.hidden = logout.hidden = false;
		route();
	} catch (e) {
		if (e instanceof LoggedOut) return;
		say(reason(e), true);
		timer = setTimeout(begin, live);
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
const followWish = () => setTheme(chosen === null ? wish.matches : chosen === 'dark');
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
onLogout(showLogin);
onAction(text => {
	say(text);
	refresh();
});
window.addEventListener('hashchange', () => { if (!nav.hidden) route(); });
document.addEventListener('visibilitychange', () => { if (!document.hidden && !nav.hidden) refresh(); });
begin();
