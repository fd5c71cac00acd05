// An OpenAPI description, as the mock and the maker of calls read it: with ajv for what a value
// must be, and code of its own for how it is sent, so that it does not agree with api_functions()
// by being the same.

import { readFileSync } from 'node:fs';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

export const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete'];

const pointer = (parts) =>
	parts.map((p) => '/' + encodeURIComponent(String(p).replace(/~/g, '~0').replace(/\//g, '~1')))
		.join('');

// what OpenAPI 3.0 has of its own, in the words of JSON Schema
function modern(node) {
	if (Array.isArray(node)) return node.forEach(modern);
	if (node === null || typeof node !== 'object') return;
	for (const bound of ['minimum', 'maximum']) {
		const flag = 'exclusive' + bound[0].toUpperCase() + bound.slice(1);

		if (node[flag] === false) delete node[flag];
		else if (node[flag] === true) {
			node[flag] = node[bound];
			delete node[bound];
		}
	}
	if (node.nullable === true) {
		if (typeof node.type === 'string') node.type = [node.type, 'null'];
		if (Array.isArray(node.enum) && !node.enum.includes(null)) node.enum.push(null);
	}
	if (typeof node.nullable === 'boolean') delete node.nullable;
	// in OpenAPI it says how to tell alternatives apart, not what is valid
	if (node.discriminator && typeof node.discriminator === 'object') delete node.discriminator;
	// descriptions have patterns that are none, and formats that nobody knows
	if (typeof node.pattern === 'string') {
		try { new RegExp(node.pattern, 'u'); } catch { delete node.pattern; }
	}
	Object.values(node).forEach(modern);
}

export class Description {
	constructor(file) {
		this.doc = JSON.parse(readFileSync(file, 'utf8'));
		modern(this.doc.paths);
		modern(this.doc.components);
		const options = { strict: false, allErrors: true, validateFormats: false, logger: false,
			addUsedSchema: false, validateSchema: false, inlineRefs: false };
		const Version = this.doc.openapi.startsWith('3.0') ? Ajv : Ajv2020;
		// text from a form or a URL says its type by the schema alone
		this.strict = addFormats(new Version(options));
		this.coercing = addFormats(new Version({ ...options, coerceTypes: 'array' }));
		for (const ajv of [this.strict, this.coercing]) {
			ajv.addSchema({ $id: 'doc', paths: this.doc.paths, components: this.doc.components });
		}
		this.compiled = new Map();
		this.operations = [...this.#operations()];
	}

	at(path) {
		return path.reduce((node, key) => node?.[key], this.doc);
	}

	// where a node is, once its $ref are followed
	deref(path) {
		for (let hops = 0; hops < 30; hops++) {
			const ref = this.at(path)?.$ref;
			if (typeof ref !== 'string') return path;
			path = ref.slice(2).split('/')
				.map((p) => decodeURIComponent(p).replace(/~1/g, '/').replace(/~0/g, '~'));
		}
		throw new Error('circular: ' + path);
	}

	*#operations() {
		for (const path of Object.keys(this.doc.paths)) {
			const item = this.deref(['paths', path]);
			for (const method of METHODS) {
				const operation = this.at([...item, method]);
				if (operation === undefined || operation.deprecated === true) continue;
				const parameters = new Map();
				for (const from of [item, [...item, method]]) {
					(this.at([...from, 'parameters']) ?? []).forEach((_, i) => {
						const place = this.deref([...from, 'parameters', i]);
						const p = this.at(place);
						parameters.set(p.in + ' ' + p.name, this.#parameter(p, place));
					});
				}
				yield { method: method.toUpperCase(), path, parameters: [...parameters.values()],
					responses: ['201', '200', '202', '203', '2XX']
						.filter((s) => operation.responses?.[s])
						.map((s) => [...item, method, 'responses', s]),
					body: method === 'get' || method === 'head' ? null
						: this.#body([...item, method, 'requestBody']),
					matches: new RegExp(`^${path.split(/\{[^{}]*\}/)
						.map((s) => s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('([^/]+)')}$`),
					names: [...path.matchAll(/\{([^{}]*)\}/g)].map((m) => m[1]) };
			}
		}
	}

	#parameter(p, place) {
		const type = p.content && Object.keys(p.content)[0];
		const style = p.style ?? (p.in === 'query' || p.in === 'cookie' ? 'form' : 'simple');
		return { name: p.name, in: p.in, required: p.required === true || p.in === 'path',
			deprecated: p.deprecated === true, json: type !== undefined, style,
			explode: p.explode ?? style === 'form',
			schema: type ? [...place, 'content', type, 'schema'] : [...place, 'schema'] };
	}

	#body(place) {
		if (this.at(place) === undefined) return null;
		place = this.deref(place);
		const content = this.at(place).content ?? {};
		return { required: this.at(place).required === true, place, types: Object.keys(content) };
	}

	// the media type of a request, as the description has it
	media(body, type) {
		const bare = (t) => t.split(';')[0].trim().toLowerCase();
		const found = body.types.find((t) => bare(t) === bare(type))
			?? body.types.find((t) => t === '*/*' || (t.endsWith('/*')
				&& bare(type).startsWith(t.slice(0, -1))));
		return found && [...body.place, 'content', found];
	}

	validator(path, coerce) {
		const key = coerce + pointer(path);
		if (!this.compiled.has(key)) {
			this.compiled.set(key, this.at(path) === undefined ? () => true
				: (coerce ? this.coercing : this.strict).compile({ $ref: 'doc#' + pointer(path) }));
		}
		return this.compiled.get(key);
	}

	// what is wrong with a value; []: nothing.  Of text, the value may get its types first.
	problems(path, value, where, coerce) {
		const valid = this.validator(path, coerce);
		const held = { value };
		const context = { parentData: held, parentDataProperty: 'value', instancePath: '',
			rootData: held };

		if (valid(value, context)) return [];
		// a text may well be a number, too: '7' is both
		const errors = valid.errors.filter((e) => e.keyword !== '$ref'
			&& !(coerce && e.keyword === 'oneOf' && e.params.passingSchemas));

		return errors.slice(0, 4)
			.map((e) => `${where}${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
	}

	// a schema with all of allOf in it, and its place
	merged(path, seen = new Set()) {
		const node = this.at(path);
		const all = { properties: {}, required: [] };
		if (node === null || typeof node !== 'object' || seen.has(node)) return all;
		seen.add(node);
		const parts = (node.allOf ?? []).map((_, i) => [...path, 'allOf', i]);
		if (node.$ref) parts.push(this.deref(path));
		for (const part of parts) {
			const inner = this.merged(part, seen);
			Object.assign(all, inner, { properties: { ...all.properties, ...inner.properties },
				required: [...all.required, ...inner.required] });
		}
		for (const key of Object.keys(node.properties ?? {})) {
			all.properties[key] = [...path, 'properties', key];
		}
		return { ...all, ...node, properties: all.properties, allOf: undefined, $ref: undefined,
			required: [...all.required, ...(Array.isArray(node.required) ? node.required : [])],
			alternatives: ['oneOf', 'anyOf'].flatMap((k) => (node[k] ?? [])
				.map((_, i) => [...path, k, i])).concat(all.alternatives ?? []),
			itemsAt: node.items !== undefined ? [...path, 'items'] : all.itemsAt };
	}

	kind(path) {
		const schema = this.merged(path);
		const type = [schema.type].flat().filter((t) => t !== 'null')[0];
		return type ?? (Object.keys(schema.properties).length ? 'object'
			: schema.itemsAt ? 'array' : schema.alternatives?.length
				? [...new Set(schema.alternatives.map((a) => this.kind(a)))]
					.find((k) => k === 'object' || k === 'array') : undefined);
	}
}
