/* Where the person is: the view, what of it, and its filters are the address, so that it can be sent. */

let drawAnew = () => {};

export function onRedraw(f) { drawAnew = f; }
/* draws the view anew from what is known: something was chosen or opened */
export const redraw = () => drawAnew();

export function place() {
	const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
	let parts = [];
	try { parts = path.split('/').map(decodeURIComponent); } catch { /* no address of ours */ }
	return { view: parts[0], rest: parts.slice(1), query: Object.fromEntries(new URLSearchParams(query || '')) };
}

export function address(view, query) {
	const parts = Object.entries(query || {}).filter(e => e[1]);
	return '#/' + view + (parts.length ? '?' + new URLSearchParams(parts) : '');
}

export function go(view, query) { location.hash = address(view, query); }
