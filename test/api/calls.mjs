// Calls of the functions that were made of an OpenAPI description, with values that it allows.
//
//   node calls.mjs DESCRIPTION FUNCTIONS     a line for each call, as SQL
//
// FUNCTIONS is JSON: [{"name", "request", "arguments": [{"name", "type"}]}].  Each function is
// called twice: with what is required, and with everything.

import { readFileSync } from 'node:fs';
import { Description } from './description.mjs';
import { makeValue } from './values.mjs';

const description = new Description(process.argv[2]);
const functions = JSON.parse(readFileSync(process.argv[3], 'utf8'));

const snake = (name) => name.replace(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
	.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase().replace(/[^a-z0-9]+/g, '_')
	.replace(/^_+|_+$/g, '').replace(/^([0-9])/, '_$1');

// which media type is sent is the function's choice
const CHOICE = [/^application\/json/, /json/, /urlencoded/, /multipart/, /\*/, /^text|xml/, /./];

function fieldsOf(operation) {
	const fields = operation.parameters
		.filter((p) => p.in !== 'cookie' && !(p.deprecated && !p.required)).map((p) => ({ ...p }));
	const type = operation.body
		&& CHOICE.flatMap((re) => operation.body.types.filter((t) => re.test(t)))[0];
	if (!type) return fields;
	const schema = [...operation.body.place, 'content', type, 'schema'];
	const merged = description.merged(schema);
	if (/json|urlencoded|multipart/.test(type) && Object.keys(merged.properties).length
		&& description.kind(schema) === 'object') {
		for (const [name, place] of Object.entries(merged.properties)) {
			const inner = description.merged(place);
			const required = merged.required.includes(name);
			if (inner.readOnly || (inner.deprecated && !required)) continue;
			fields.push({ name, in: 'body', body: schema, schema: place, required,
				file: /multipart/.test(type)
					&& (inner.format === 'binary' || inner.contentMediaType) });
		}
	} else if (merged.additionalProperties !== false || description.kind(schema) !== 'object') {
		fields.push({ name: 'body', in: 'whole', schema, required: operation.body.required });
	}
	return fields;
}

// the fields that are sent; of a body also what one of its alternatives demands, and not what
// another one does
function choose(operation, fields, everything) {
	const all = fields.filter((f) => everything || f.required);
	const whole = fields.find((f) => f.body)?.body;
	const demands = whole ? description.merged(whole).alternatives
		.map((a) => description.merged(a).required) : [];
	if (demands.length === 0) return new Set(all);
	const others = demands.flat().filter((name) => !demands[0].includes(name));
	return new Set(fields.filter((f) => !f.body ? all.includes(f)
		: demands[0].includes(f.name) || (all.includes(f) && !others.includes(f.name))));
}

const quoted = (t) => "'" + t.replace(/'/g, "''") + "'";

function literal(made, type) {
	if (type === 'jsonb') return quoted(JSON.stringify(made)) + '::jsonb';
	if (type === 'text') return quoted(typeof made === 'string' ? made : JSON.stringify(made));
	return String(made);
}

function call(fn, operation, everything) {
	const free = new Map(fn.arguments.map((a) => [a.name, a.type]));
	const args = [];
	const more = {};
	const fields = fieldsOf(operation);
	const chosen = choose(operation, fields, everything);

	// in the order in which names are given
	for (const field of fields.sort((a, b) => b.required - a.required)) {
		let name = snake(field.name) || 'argument';
		while (!free.has(name) && name.length < 64) name += '_';
		const type = free.get(name);
		free.delete(name);
		if (!chosen.has(field)) continue;
		const made = field.file ? { filename: 'a.txt', base64: 'YWJj' }
			: makeValue(description, field.schema, everything ? 3 : 0);
		if (type !== undefined) args.push(`${name} => ${literal(made, type)}`);
		else if (free.has('more')) more[field.name] = made;
	}
	if (Object.keys(more).length) args.push(`more => ${literal(more, 'jsonb')}`);
	return `${fn.name}(${["'call'", ...args].join(', ')})`;
}

for (const operation of description.operations) {
	const fn = functions.find((f) => f.request === `${operation.method} ${operation.path}`);
	if (!fn) { console.error(`no function for ${operation.method} ${operation.path}`); continue; }
	// one that is ours is no argument of the operation's
	fn.arguments = fn.arguments.filter((a) => !['step', 'undo', 'probe', 'probe_found', 'doubt',
		'retry', 'timeout', 'wait', 'answers'].includes(a.name));
	console.log(call(fn, operation, false));
	console.log(call(fn, operation, true));
}
