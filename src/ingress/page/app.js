/* The page.  What comes from the server is only ever inserted as text. */
'use strict';
const main = document.getElementById('main');
const notice = document.getElementById('notice');
const views = { runs: 'Runs', stuck: 'Needs a person', systems: 'Systems', charts: 'Charts', workflows: 'Workflows', ways: 'Webhooks and schedules' };
const svgNS = 'http://www.w3.org/2000/svg';
const tags = new Map();
let timer = 0, turn = 0, drawn = '';

function el(name, attributes, ...children) {
	const node = document.createElement(name);
	for (const [key, value] of Object.entries(attributes || {})) {
		if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
		else if (value === true) node.setAttribute(key, '');
		else if (value !== false && value != null) node.setAttribute(key, value);
	}
	node.append(...children.flat(Infinity).filter(c => c != null));
	return node;
}
function svg(name, attributes, ...children) {
	const node = document.createElementNS(svgNS, name);
	for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
	node.append(...children.flat(Infinity).filter(c => c != null));
	return node;
}
const pretty = v => typeof v === 'string' ? (() => { try { return JSON.stringify(JSON.parse(v), null, 2); } catch { return v; } })() : JSON.stringify(v, null, 2);
const block = v => v == null ? null : el('pre', {}, pretty(v));
const time = t => t ? el('time', { datetime: t, title: t, class: 'time' }, new Date(t).toLocaleString([], { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' })) : null;
const span = ms => ms < 1000 ? Math.round(ms) + ' ms' : ms < 120000 ? (ms / 1000).toFixed(1) + ' s' : ms < 7200000 ? Math.round(ms / 60000) + ' min' : Math.round(ms / 3600000) + ' h';
const signs = { completed: ['✓', 'good'], done: ['✓', 'good'], closed: ['✓', 'good'], undone: ['↶', 'warn'], stuck: ['!', 'bad'], failed: ['✕', 'bad'], open: ['✕', 'bad'], undo_failed: ['!', 'bad'], in_doubt: ['?', 'bad'],
	rolling_back: ['↶', 'warn'], rolled_back: ['↶', 'warn'], cancelled: ['⊘', 'warn'], abandoned: ['⊘', 'bad'], waiting: ['…', ''], queued: ['·', ''], running: ['▸', ''] };
const state = s => s == null ? null : el('span', { class: 'state ' + (signs[s] || ['', ''])[1] }, ((signs[s] || [''])[0] + ' ' + s).trim());
const runLink = r => el('a', { href: '#/run/' + encodeURIComponent(r.run), class: 'id', title: r.run }, r.key || '…' + r.run.slice(-12));

function table(heads, rows, empty) {
	if (!rows.length) return el('p', { class: 'card soft' }, empty || 'Nothing here.');
	return el('div', { class: 'wide' }, el('table', { class: 'stack' },
		el('thead', {}, el('tr', {}, heads.map(h => el('th', { scope: 'col' }, h)))),
		el('tbody', {}, rows.map(row => el('tr', {}, row.map((c, i) => el('td', { 'data-label': heads[i] }, c == null || c === '' ? null : el('span', {}, c))))))));
}

/* ---- the server ---- */
async function get(name, query) {
	const path = 'api/' + name + '?' + new URLSearchParams(Object.entries(query || {}).filter(e => e[1]));
	const known = tags.get(path);
	const answer = await fetch(path, { headers: known ? { 'If-None-Match': known.tag } : {}, cache: 'no-store' });
	if (answer.status === 304) return known.data;
	const data = await answer.json();
	if (answer.status === 401) { showLogin(); throw null; }
	if (!answer.ok) throw data;
	if (tags.size > 40) tags.clear();
	tags.set(path, { tag: answer.headers.get('ETag'), data });
	return data;
}
async function post(path, body) {
	const answer = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Dataflows': '1' }, body: JSON.stringify(body) });
	const data = await answer.json();
	if (answer.status === 401 && path !== 'login') { document.querySelectorAll('dialog').forEach(d => d.close()); showLogin(); throw null; }
	if (!answer.ok) throw data;
	return data;
}
function say(what) {
	notice.className = what && typeof what === 'object' ? 'bad' : '';
	notice.textContent = !what ? '' : typeof what === 'string' ? what : what.error ? '! ' + [what.error, what.detail, what.hint].filter(Boolean).join(' — ') : 'The server cannot be reached; trying again.';
}

/* ---- actions ---- */
function ask(title, name, fixed, fields) {
	const error = el('p', { role: 'alert', class: 'bad' });
	const form = el('form', { method: 'dialog' }, el('h2', {}, title),
		fields.map(f => el('label', {}, f.label, f.options ? el('select', { name: f.name }, f.options.map(o => el('option', {}, o)))
			: el('textarea', { name: f.name, rows: 2, required: f.required }))), error,
		el('div', { class: 'actions' }, el('button', { class: 'main' }, title), el('button', { type: 'button', onclick: () => dialog.close() }, 'Back')));
	const dialog = el('dialog', { onclose: () => dialog.remove() }, form);
	form.addEventListener('submit', async event => {
		event.preventDefault();
		const body = { ...fixed };
		for (const [key, value] of new FormData(form)) if (value) body[key] = value;
		try {
			const answer = await post('api/' + name, body);
			dialog.close();
			say(answer.done ? title + ': asked for.' : title + ': there was nothing to do.');
			drawn = ''; refresh();
		} catch (e) { if (e === null) return; error.textContent = e && e.error ? [e.error, e.hint].filter(Boolean).join(' — ') : 'The server cannot be reached.'; }
	});
	document.body.append(dialog);
	dialog.showModal();
}
const noteField = required => ({ name: 'note', label: required ? 'Note: why, for the record' : 'Note (optional)', required });
const action = (label, name, fixed, fields) => el('button', { type: 'button', onclick: () => ask(label, name, fixed, fields) }, label);
function runActions(r) {
	const id = { run: r.run }, live = !r.finished_at, list = [];
	if (r.state === 'stuck') list.push(action('Retry', 'retry', id, []), action('Abandon', 'abandon', id, [noteField(true)]));
	if (live && r.state !== 'rolling_back') list.push(action('Cancel and undo', 'cancel', id, [noteField(false)]));
	if (r.state === 'completed') list.push(action('Undo', 'undo', id, [noteField(true)]));
	if (live) list.push(action('Signal', 'signal', id, [{ name: 'event', label: 'Event', required: true }, { name: 'payload', label: 'Payload, JSON' }]));
	return el('div', { class: 'actions' }, list);
}
const resolveAction = (run, n) => action('Resolve', 'resolve', { run, step: '#' + n }, [{ name: 'outcome', label: 'Outcome', options: ['done', 'not_done', 'skipped', 'undone'] }, noteField(true), { name: 'output', label: 'What it returned, JSON (for done)' }]);

/* ---- views ---- */
const states = ['queued', 'running', 'waiting', 'rolling_back', 'stuck', 'completed', 'rolled_back', 'cancelled', 'abandoned'];
function query() { return Object.fromEntries(new URLSearchParams(location.hash.split('?')[1] || '')); }
function go(view, q) { location.hash = '#/' + view + (q ? '?' + new URLSearchParams(Object.entries(q).filter(e => e[1])) : ''); }
async function runs() {
	const q = query();
	const since = { hour: 3600e3, day: 86400e3, week: 604800e3 }[q.within];
	const { runs: list, next } = q.key ? await get('runs_by_key', { workflow: q.workflow, key: q.key, state: q.state })
		: await get('runs', { workflow: q.workflow, state: q.state, prefix: q.prefix, before: q.before, since: since && new Date(Math.floor((Date.now() - since) / 60000) * 60000).toISOString() });
	const field = (name, label) => el('label', {}, label, el('input', { name, value: q[name] || '', maxlength: 400 }));
	const pick = (name, label, options) => el('label', {}, label, el('select', { name }, el('option', { value: '' }, 'all'), options.map(o => el('option', { selected: q[name] === o }, o))));
	const form = el('form', { class: 'filters', onsubmit: e => {
		e.preventDefault();
		const f = Object.fromEntries(new FormData(form));
		if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(f.key)) go('run/' + f.key); else go('runs', f);
	} }, field('workflow', 'Workflow'), pick('state', 'State', states), field('key', 'Key, or id of a run'), field('prefix', 'Key begins with'), pick('within', 'Started within', ['hour', 'day', 'week']), el('button', { class: 'main' }, 'Show'));
	return [el('h1', {}, 'Runs'), form,
		table(['Key', 'Workflow', 'State', 'Step', 'Started', 'Took', 'Remarks'], list.map(r => [runLink(r), r.workflow + ' v' + r.version, state(r.state), r.step, time(r.started_at),
			r.finished_at ? span(new Date(r.finished_at) - new Date(r.started_at)) : null, r.stuck || r.error || (r.waiting_for ? 'waits for ' + r.waiting_for : null)]), 'No runs that match.'),
		el('div', { class: 'actions' }, q.before ? el('button', { type: 'button', onclick: () => go('runs', { ...q, before: '' }) }, 'Newest') : null,
			next ? el('button', { type: 'button', onclick: () => go('runs', { ...q, before: next }) }, list.length === 50 ? 'Older' : 'Look further back') : null)];
}
function gantt(d) {
	const at = t => new Date(t).getTime(), r = d.run, from = at(r.started_at);
	const ends = [from + 1, r.finished_at && at(r.finished_at), ...d.steps.flatMap(s => [s.finished_at, s.started_at, s.undo_since].filter(Boolean).map(at)), ...d.attempts.map(a => at(a.at) + (a.took_ms || 0))];
	const live = !r.finished_at, to = Math.max(...ends.filter(Boolean)) + (live ? Math.max(500, (Math.max(...ends.filter(Boolean)) - from) * .05) : 0);
	const left = 190, width = 900, x = t => left + (Math.min(at(t), to) - from) / (to - from) * (width - left - 10), h = 26;
	const rows = d.steps.map((s, i) => {
		const y = 24 + i * h, begin = x(s.started_at), end = s.finished_at ? x(s.finished_at) : width - 10;
		const kind = s.state === 'failed' || s.state === 'in_doubt' ? 'fail' : s.kind === 'wait' || s.kind === 'sleep' ? 'wait' : 'bar';
		const took = s.finished_at ? span(at(s.finished_at) - at(s.started_at)) : 'under way';
		return svg('g', {}, svg('title', {}, s.n + '. ' + s.step + ' (' + s.kind + '): ' + s.state + ', ' + took + ', attempts ' + s.attempts + ', undo ' + s.undo_state),
			svg('text', { x: 4, y: y + 14 }, ((signs[s.state] || ['·'])[0] + ' ' + s.step).slice(0, 30)),
			svg('rect', { x: begin, y: y + 3, width: Math.max(3, end - begin), height: 13, rx: 2, class: kind }),
			d.attempts.filter(a => a.n === s.n).map(a => svg('rect', { x: x(a.at), y: y + 1, width: 3, height: 17, class: a.undo ? 'undo' : 'fail' })),
			s.undo_since ? svg('rect', { x: x(s.undo_since), y: y + 18, width: Math.max(3, width - 10 - x(s.undo_since)), height: 4, class: 'undo' }) : null);
	});
	return el('div', { class: 'card' }, svg('svg', { viewBox: '0 0 ' + width + ' ' + (30 + d.steps.length * h), role: 'img', 'aria-label': 'Timeline of ' + d.steps.length + ' steps; the list below tells the same' },
		[0, .25, .5, .75, 1].map(f => { const gx = left + f * (width - left - 10); return svg('g', {}, svg('line', { x1: gx, x2: gx, y1: 18, y2: 26 + d.steps.length * h, class: 'grid' }), svg('text', { x: gx, y: 12, 'text-anchor': f === 1 ? 'end' : 'middle' }, span(f * (to - from)))); }), rows),
		el('p', { class: 'soft' }, 'Solid: work. Dashed: waiting. Narrow marks: failed attempts. Thin bar below: undo.'));
}
async function run(id) {
	const d = await get('run', { run: id }), r = d.run;
	const facts = { Id: r.run, Workflow: r.workflow + ' v' + r.version, Owner: r.owner, 'Started by': r.started_by, Started: time(r.started_at), Finished: time(r.finished_at), 'Waits for': r.waiting_for, 'Goes on at': time(r.wake_at), Deadline: time(r.deadline), Cause: r.cause,
		Parent: r.parent && el('a', { href: '#/run/' + r.parent }, r.parent), 'Restarted from': r.restarted_from };
	return [el('h1', {}, r.key || r.run, ' ', state(r.state)), runActions(r),
		el('div', { class: 'card' }, el('dl', {}, Object.entries(facts).filter(f => f[1]).map(f => [el('dt', {}, f[0]), el('dd', {}, f[1])]))),
		r.stuck ? el('div', { class: 'card bad' }, '! ' + (r.stuck.reason || ''), el('br'), r.stuck.remedy || '') : null,
		d.steps.length ? [el('h2', {}, 'Timeline'), gantt(d)] : null,
		el('h2', {}, 'Steps'), el('div', { class: 'card' }, d.steps.length ? d.steps.map(s => el('details', { 'data-keep': s.n }, el('summary', {}, s.n + '. ' + s.step + ' ', state(s.state), el('span', { class: 'soft' }, '  ' + [s.kind, s.request, s.status && 'status ' + s.status, s.attempts > 1 && s.attempts + ' attempts', s.undo_state !== 'none' && 'undo ' + s.undo_state].filter(Boolean).join(' · '))),
			s.state === 'in_doubt' || s.undo_state === 'undo_failed' ? resolveAction(r.run, s.n) : null,
			s.child ? el('p', {}, 'Calls ', el('a', { href: '#/run/' + s.child }, s.child)) : null,
			s.body != null ? ['Request', block(s.body)] : null, s.output != null ? ['Answer', block(s.output)] : null, s.error != null ? ['Error', block(s.error)] : null, s.undo ? ['Undo', block(s.undo), block(s.undo_body)] : null, s.undo_error ? ['Error of the undo', block(s.undo_error)] : null,
			table(['Attempt', 'At', 'Took', 'Status', 'Outcome', 'Error'], d.attempts.filter(a => a.n === s.n).map(a => [(a.undo ? 'undo ' : '') + a.attempt, time(a.at), a.took_ms == null ? null : span(a.took_ms), a.status, a.outcome, a.error]), 'No failed attempts.'))) : 'None yet.'),
		el('h2', {}, 'Signals and requests'), table(['When', 'What', 'By', 'Note or payload', 'State'], [...d.signals.map(s => [time(s.sent_at), 'signal ' + s.event, s.sent_by, s.payload == null ? null : JSON.stringify(s.payload), s.state]), ...d.requests.map(q => [time(q.sent_at), [q.request, q.step, q.outcome].filter(Boolean).join(' '), q.sent_by, q.note, q.state])], 'None.'),
		el('h2', {}, 'Input'), block(r.input) || el('p', { class: 'soft' }, 'Not shown.'), r.result != null ? [el('h2', {}, 'Result'), block(r.result)] : null, r.error != null ? [el('h2', {}, 'Error'), block(r.error)] : null].flat();
}
async function stuck() {
	const [list, pending] = await Promise.all([get('stuck'), get('pending_undo')]);
	return [el('h1', {}, 'Needs a person'), el('h2', {}, 'Stuck runs'), table(['Run', 'Workflow', 'Reason', 'Remedy', 'Since', 'Actions'], list.map(s => [runLink(s), s.workflow, s.reason, s.remedy, time(s.since), runActions({ ...s, state: 'stuck' })]), 'No run is stuck.'),
		el('h2', {}, 'To be settled or undone by hand'), table(['Run', 'Step', 'System', 'Request', 'Why', 'Remedy', 'Actions'], pending.map(p => [runLink(p), p.step, p.system, p.undo || p.request, p.why, p.remedy, resolveAction(p.run, p.n)]), 'Nothing is pending.')];
}
async function systems() {
	return [el('h1', {}, 'Systems'), table(['System', 'URL', 'Breaker', 'In flight', 'Rate', 'Errors', 'Requests', 'Latency', 'Held until'], (await get('systems')).map(s => [s.system, s.url, state(s.breaker), s.in_flight + ' of ' + (s.allowed ?? s.max_concurrency), s.rate_limit, s.error_rate == null ? null : Math.round(s.error_rate * 100) + ' %', String(s.requests), s.latency_ms == null ? null : span(s.latency_ms), time(s.held_until)]), 'No systems.')];
}
function bars(list) {
	const now = Math.floor(Date.now() / 60000), slots = Array.from({ length: 60 }, () => [0, 0]);
	for (const m of list) { const i = 59 - (now - Math.floor(new Date(m.minute) / 60000)); if (slots[i]) slots[i][m.state === 'completed' ? 0 : 1] += m.n; }
	const max = Math.max(1, ...slots.map(s => s[0] + s[1])), total = slots.reduce((a, s) => a + s[0] + s[1], 0);
	return svg('svg', { viewBox: '0 0 900 170', role: 'img', 'aria-label': total + ' runs ended within the last hour; at most ' + max + ' a minute' }, svg('text', { x: 4, y: 14 }, max + ' a minute'), svg('line', { x1: 0, x2: 900, y1: 150, y2: 150, class: 'grid' }),
		slots.map((s, i) => [svg('rect', { x: i * 15 + 2, width: 11, y: 150 - s[0] / max * 125, height: s[0] / max * 125, class: 'bar' }), svg('rect', { x: i * 15 + 2, width: 11, y: 150 - (s[0] + s[1]) / max * 125, height: s[1] / max * 125, class: 'fail' })]), svg('text', { x: 0, y: 165 }, 'an hour ago'), svg('text', { x: 900, y: 165, 'text-anchor': 'end' }, 'now'));
}
function lines(list) {
	const max = Math.max(1, ...list.map(m => m.p95)), now = Date.now(), point = (m, k) => [900 - (now - new Date(m.minute)) / 3600e3 * 900, 120 - m[k] / max * 95].map(v => v.toFixed(1)).join();
	return svg('svg', { viewBox: '0 0 900 140', role: 'img', 'aria-label': 'Latency; the highest 95th percentile is ' + span(max) }, svg('text', { x: 4, y: 14 }, span(max)), svg('line', { x1: 0, x2: 900, y1: 120, y2: 120, class: 'grid' }),
		['p50', 'p95'].map((k, i) => list.length === 1 ? svg('circle', { cx: point(list[0], k).split(',')[0], cy: point(list[0], k).split(',')[1], r: 4, class: i ? 'undo' : 'bar' }) : svg('polyline', { points: list.map(m => point(m, k)).join(' '), class: i ? 'line2' : 'line' })), svg('text', { x: 0, y: 136 }, 'an hour ago'), svg('text', { x: 900, y: 136, 'text-anchor': 'end' }, 'now'));
}
async function charts() {
	const [ended, latency] = await Promise.all([get('throughput'), get('latency')]);
	const names = [...new Set(latency.map(m => m.system))];
	return [el('h1', {}, 'Charts'), el('h2', {}, 'Runs ended a minute'), el('div', { class: 'card' }, bars(ended), el('p', { class: 'soft' }, 'Of the newest 20000 runs started within the hour. Below: completed; on top: ended otherwise.')), el('h2', {}, 'Latency of steps'),
		names.length ? names.map(n => el('div', { class: 'card' }, el('strong', {}, n), lines(latency.filter(m => m.system === n)), el('p', { class: 'soft' }, 'Solid: median. Dashed: 95th percentile.'))) : el('p', { class: 'card soft' }, 'No steps within the last hour.')];
}
async function workflows() {
	return [el('h1', {}, 'Workflows'), table(['Workflow', 'Version', 'Function', 'Owner', 'State', 'Defined', 'Actions'], (await get('workflows')).map(w => [el('a', { href: '#/runs?' + new URLSearchParams({ workflow: w.name }) }, w.name), String(w.version), w.function, w.owner, w.paused ? el('span', { class: 'state warn' }, '‖ paused') : 'open', time(w.defined_at),
		w.paused ? action('Resume', 'resume', { workflow: w.name }, []) : action('Pause', 'pause', { workflow: w.name }, [])]), 'No workflows.')];
}
async function ways() {
	const [hooks, plans] = await Promise.all([get('webhooks'), get('schedules')]);
	return [el('h1', {}, 'Webhooks and schedules'), el('h2', {}, 'Webhooks'), table(['Path', 'Starts', 'Signals', 'Event', 'Key', 'Verified', 'Owner'], hooks.map(w => [w.path, w.starts, w.signals, w.event, w.key, w.verify, w.owner]), 'No webhooks.'),
		el('h2', {}, 'Schedules'), table(['Name', 'Times', 'Workflow', 'Last fired', 'Last said', 'Owner'], plans.map(s => [s.name, s.cron, s.workflow, time(s.last_at), [s.last_status, s.last_message].filter(Boolean).join(': '), s.owner]), 'No schedules.')];
}

/* ---- the frame ---- */
function showLogin() {
	clearTimeout(timer); drawn = ''; tags.clear();
	document.getElementById('nav').hidden = document.getElementById('logout').hidden = true;
	document.getElementById('who').textContent = '';
	const input = el('input', { type: 'password', name: 'token', autocomplete: 'off', required: true, spellcheck: 'false' });
	const form = el('form', { method: 'post' }, el('label', {}, 'Token', input), el('button', { class: 'main' }, 'Log in'), el('p', { class: 'soft' }, 'Make one in SQL: ', el('code', {}, 'SELECT dataflows.dashboard_token();')));
	form.addEventListener('submit', async e => { e.preventDefault(); try { await post('login', { token: input.value.trim() }); say(''); begin(); } catch (error) { say(error || {}); } });
	main.replaceChildren(el('div', { class: 'card login' }, el('h1', {}, 'Log in'), form));
	input.focus();
}
async function refresh() {
	clearTimeout(timer);
	const mine = ++turn, [view, id] = location.hash.replace(/^#\/?/, '').split('?')[0].split('/');
	try {
		const make = view === 'run' ? () => run(decodeURIComponent(id || '')) : { runs, stuck, systems, charts, workflows, ways }[view] || runs;
		const nodes = (await make()).flat(3).filter(Boolean);
		if (mine !== turn) return;
		if (notice.classList.contains('bad')) say('');
		const box = el('div', {}, nodes), editing = main.contains(document.activeElement) && /INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName);
		if (location.hash + box.textContent !== drawn && !(editing && drawn.startsWith(location.hash))) {
			const open = [...main.querySelectorAll('details[open]')].map(d => d.dataset.keep);
			const same = drawn.startsWith(location.hash + box.firstChild.textContent);
			const at = same ? [...main.querySelectorAll('a,button,summary')].indexOf(document.activeElement) : -1;
			if (same) for (const d of box.querySelectorAll('details')) d.open = open.includes(d.dataset.keep);
			drawn = location.hash + box.textContent;
			main.replaceChildren(...box.childNodes);
			if (at >= 0) main.querySelectorAll('a,button,summary')[at]?.focus();
		}
	} catch (e) { if (mine !== turn) return; if (e === null) return; say(e); if (e.error && drawn.startsWith(location.hash) === false) drawn = '', main.replaceChildren(el('p', { class: 'card' }, e.error)); }
	if (mine === turn && !document.hidden) timer = setTimeout(refresh, view === 'charts' ? 10000 : 2000);
}
async function begin() {
	try {
		const me = await get('me');
		document.getElementById('who').textContent = me.role + ' @ ' + me.database;
		document.getElementById('nav').hidden = document.getElementById('logout').hidden = false;
		route();
	} catch (e) { if (e !== null) { say(e); timer = setTimeout(begin, 2000); } }
}
function route() {
	const view = location.hash.replace(/^#\/?/, '').split(/[/?]/)[0] || 'runs';
	document.getElementById('nav').replaceChildren(...Object.entries(views).map(([k, v]) => el('a', { href: '#/' + k, 'aria-current': k === view || (view === 'run' && k === 'runs') ? 'page' : null }, v)));
	document.title = (views[view] || 'Run') + ' · dataflows';
	refresh();
}
const dark = () => document.documentElement.classList.contains('dark');
function setTheme(on) { document.documentElement.classList.toggle('dark', on); document.getElementById('theme').textContent = on ? 'Light' : 'Dark'; }
const wish = matchMedia('(prefers-color-scheme: dark)');
setTheme(wish.matches);
wish.addEventListener('change', () => setTheme(wish.matches));
document.getElementById('theme').addEventListener('click', () => setTheme(!dark()));
document.getElementById('logout').addEventListener('click', async () => { try { await post('logout', {}); } catch (e) { if (e !== null) say(e || {}); return; } showLogin(); });
window.addEventListener('hashchange', () => { if (!document.getElementById('nav').hidden) route(); });
document.addEventListener('visibilitychange', () => { if (!document.hidden && !document.getElementById('nav').hidden) refresh(); });
begin();
