// A system that takes only what its OpenAPI description demands.
//
//   node mock.mjs DESCRIPTION        prints the port, and serves until its standard input ends
//
// A request that is right gets 200 and what the description says of it; another one 422 with what
// is wrong in it: an unknown path, parameter or field, one that is missing, a value that is not
// valid, another type of content, another way of writing arrays and objects than the description's.

import { createServer } from 'node:http';
import { Description } from './description.mjs';
import { makeValue } from './values.mjs';

const description = new Description(process.argv[2]);
const OURS = new Set(['accept', 'accept-encoding', 'connection', 'content-length', 'content-type',
	'host', 'idempotency-key', 'traceparent', 'tracestate', 'user-agent', 'authorization']);

const DELIMITER = { form: ',', simple: ',', spaceDelimited: ' ', pipeDelimited: '|', label: ',' };

const pairsOf = (text) => (text === '' ? [] : text.split('&').map((pair) => {
	const [key, ...rest] = pair.split('=');
	const decoded = (t) => decodeURIComponent(t.replace(/\+/g, ' '));
	return [decoded(key), decoded(rest.join('='))];
}));

// {"0": a, "1": b} is an array
function arrays(value) {
	if (value === null || typeof value !== 'object') return value;
	const keys = Object.keys(value);
	for (const key of keys) value[key] = arrays(value[key]);
	return keys.length > 0 && keys.every((k, i) => k === String(i))
		? keys.map((k) => value[k]) : value;
}

// what comes twice is an array: how those within an object are written is nowhere said
function put(tree, path, value) {
	const last = path.pop();
	for (const part of path) tree = tree[part] ??= {};
	tree[last] = last in tree ? [tree[last], value].flat() : value;
}

// one text of a parameter as a value
function undelimited(field, kind, text) {
	if (field.json) return JSON.parse(text);
	const parts = text === '' ? [] : text.split(DELIMITER[field.style] ?? ',');
	if (kind === 'array') return parts;
	if (kind !== 'object') return text;
	return field.explode ? Object.fromEntries(parts.map((p) => p.split('=')))
		: Object.fromEntries(parts.flatMap((p, i) => (i % 2 ? [] : [[p, parts[i + 1]]])));
}

// pairs of a query or a form as the values of its fields
function valuesOf(fields, pairs, wrong, where) {
	const values = {};
	const deep = {};
	for (const [key, text] of pairs) {
		const field = fields.find((f) => f.name === key && !(f.style === 'deepObject'
			&& ['object', 'array'].includes(f.kind) && text !== ''));
		const base = key.match(/^([^[]+)\[(.*)\]$/);
		const parent = base && fields.find((f) => f.name === base[1] && f.style === 'deepObject');
		const spread = fields.find((f) => f.kind === 'object' && f.style === 'form' && f.explode
			&& !f.json && key in description.merged(f.schema).properties);
		if (field && !(field.kind === 'array' && field.explode)) {
			if (key in values) wrong.push(`${where} "${key}" comes twice`);
			values[key] = undelimited(field, field.kind, text);
		} else if (field) (values[key] ??= []).push(text);
		else if (parent) put(deep, [parent.name, ...base[2].split('][')], text);
		else if (spread) (values[spread.name] ??= {})[key] = text;
		else wrong.push(`${where} "${key}" is not in the description, or not in this form`);
	}
	return { ...values, ...arrays(deep) };
}

function checkParameters(operation, match, url, headers, wrong) {
	const of = (where) => operation.parameters.filter((p) => p.in === where)
		.map((p) => ({ ...p, kind: description.kind(p.schema) }));
	const values = { query: valuesOf(of('query'), pairsOf(url.search.slice(1)), wrong, 'query'),
		path: {}, header: {} };
	operation.names.forEach((name, i) => {
		const p = of('path').find((f) => f.name === name);
		let text = decodeURIComponent(match[i + 1]);
		if (p?.style === 'label') text = text.replace(/^\./, '');
		if (p?.style === 'matrix') text = text.replace(`;${name}=`, '');
		if (p) values.path[name] = undelimited(p, p.kind, text);
	});
	for (const p of of('header')) {
		const bytes = headers[p.name.toLowerCase()];
		const text = bytes && Buffer.from(bytes, 'latin1').toString();
		if (text !== undefined) values.header[p.name] = undelimited(p, p.kind, text);
	}
	for (const name of Object.keys(headers)) {
		if (!OURS.has(name) && !of('header').some((p) => p.name.toLowerCase() === name)) {
			wrong.push(`header "${name}" is not in the description`);
		}
	}
	for (const p of operation.parameters.filter((f) => f.in in values)) {
		const value = values[p.in][p.name];
		if (value !== undefined) {
			wrong.push(...description.problems(p.schema, value, `${p.in} "${p.name}"`, !p.json));
		} else if (p.required && !OURS.has(p.name.toLowerCase())) {
			wrong.push(`${p.in} "${p.name}" is missing`);
		}
	}
}

function formFields(media) {
	const encoding = description.at(media).encoding ?? {};
	return Object.entries(description.merged([...media, 'schema']).properties)
		.map(([name, schema]) => {
			const kind = description.kind(schema);
			const style = encoding[name]?.style ?? (kind === 'object' ? 'deepObject' : 'form');
			return { name, schema, kind, style,
				explode: encoding[name]?.explode ?? style === 'form',
				json: /json/.test(encoding[name]?.contentType ?? '') };
		});
}

function partsOf(text, type) {
	const boundary = type.match(/boundary=("?)([^";]+)\1/)[2];
	return text.split('--' + boundary).slice(1, -1).map((part) => {
		const [head, ...rest] = part.replace(/^\r\n/, '').split('\r\n\r\n');
		return [head.match(/; ?name="([^"]*)"/i)[1], rest.join('\r\n\r\n').replace(/\r\n$/, '')];
	});
}

function checkBody(operation, text, type, wrong) {
	if (operation.body === null) {
		if (text !== '') wrong.push('there is no body in the description');
		return;
	}
	if (text === '' && type === undefined) {
		if (operation.body.required) wrong.push('the body is missing');
		return;
	}
	const media = description.media(operation.body, type ?? '');
	if (media === undefined) {
		wrong.push(`the type of the body is ${type}, not ${operation.body.types}`);
		return;
	}
	const schema = [...media, 'schema'];
	if (/json/.test(type)) {
		wrong.push(...description.problems(schema, JSON.parse(text), 'body', false));
	} else if (/urlencoded/.test(type)) {
		wrong.push(...description.problems(schema,
			valuesOf(formFields(media), pairsOf(text), wrong, 'form'), 'form', true));
	} else if (/multipart/.test(type)) {
		// an object is a part of JSON, unless it is to be written as in a form
		const encoding = description.at(media).encoding ?? {};
		const fields = formFields(media).map((f) => (f.kind === 'object' && !encoding[f.name]?.style
			? { ...f, json: true, style: 'form', kind: 'json' } : f));
		wrong.push(...description.problems(schema,
			valuesOf(fields, partsOf(text, type), wrong, 'part'), 'parts', true));
	} else wrong.push(...description.problems(schema, text, 'body', false));
}

function judge(request, text) {
	const url = new URL(request.url, 'http://mock');
	const wrong = [];
	const candidates = description.operations.filter((o) => o.method === request.method)
		.map((o) => [o, url.pathname.match(o.matches)]).filter(([, m]) => m)
		// a path without parameters first
		.sort(([a], [b]) => a.names.length - b.names.length);
	if (candidates.length === 0) {
		return { wrong: [`there is no ${request.method} ${url.pathname}`] };
	}
	try {
		checkParameters(candidates[0][0], candidates[0][1], url, request.headers, wrong);
		checkBody(candidates[0][0], text, request.headers['content-type'], wrong);
	} catch (error) {
		wrong.push(String(error));
	}
	return { wrong, operation: candidates[0][0] };
}

// of the first response that is described as JSON, all members
function made(operation) {
	const place = operation.responses.map((r) => description.deref(r)).find((r) =>
		description.at([...r, 'content', 'application/json']));
	return place === undefined ? {}
		: makeValue(description, [...place, 'content', 'application/json', 'schema'], 2);
}

const server = createServer((request, response) => {
	const chunks = [];
	request.on('data', (chunk) => chunks.push(chunk));
	request.on('end', () => {
		const text = Buffer.concat(chunks).toString();
		const { wrong, operation } = judge(request, text);
		const answer = wrong.length
			? { message: wrong.join('; '), got: `${request.url} ${text}`.slice(0, 1000) }
			: made(operation);
		response.writeHead(wrong.length ? 422 : 200, { 'content-type': 'application/json' });
		response.end(request.method === 'HEAD' ? undefined : JSON.stringify(answer));
	});
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
