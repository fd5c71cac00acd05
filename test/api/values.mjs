// Values that a schema of a description allows, the same each time.

const TEXTS = { email: 'ada@example.com', uri: 'https://example.com/a',
	url: 'https://example.com/a', date: '2026-01-31', 'date-time': '2026-01-31T12:00:00Z',
	uuid: '6f1d4a3e-0d0c-4d6a-9f6e-1d2c3b4a5f60',
	ipv4: '192.0.2.1', ipv6: '2001:db8::1', hostname: 'example.com', byte: 'YWJj' };

function text(schema) {
	let made = TEXTS[schema.format] ?? 'a+b&c=é/%';
	if (typeof schema.pattern === 'string' && !new RegExp(schema.pattern, 'u').test(made)) {
		made = [schema.example, schema.default, '1', 'a', 'ab-12', 'A', 'https://example.com',
			'+12025550123', '12345678', '#ff0000', 'ff0000', 'a/b',
			'0123456789abcdef0123456789abcdef01234567', 'ssh-rsa AAAA',
			'sha256:' + '0a'.repeat(32), '2026-01-31', '1.2.3']
			.find((t) => typeof t === 'string' && new RegExp(schema.pattern, 'u').test(t)) ?? made;
	}
	if (made.length > (schema.maxLength ?? 1000)) made = made.slice(0, schema.maxLength);
	return made.padEnd(schema.minLength ?? 0, 'x');
}

function number(schema) {
	let made = schema.minimum ?? (schema.exclusiveMinimum !== undefined
		? schema.exclusiveMinimum + 1 : Math.min(7, schema.maximum ?? 7));
	if (schema.multipleOf) made = Math.ceil(made / schema.multipleOf) * schema.multipleOf;
	return made;
}

// a value that is valid; `deep` levels of it with everything
export function makeValue(description, path, deep, level = 0) {
	const schema = description.merged(path);
	if (schema.const !== undefined) return schema.const;
	if (schema.enum) return schema.enum.find((e) => e !== null && e !== '') ?? schema.enum[0];
	const type = [schema.type].flat().filter((t) => t !== 'null')[0];
	if (schema.alternatives?.length && (type === undefined || type === 'object') && level < 12) {
		for (const alternative of schema.alternatives) {
			const made = makeValue(description, alternative, deep, level + 1);
			const all = type === 'object' || Object.keys(schema.properties).length
				? { ...members(description, schema, deep, level),
					...(typeof made === 'object' ? made : {}) } : made;
			if (description.problems(path, all, '', false).length === 0) return all;
		}
	}
	if (type === 'string') return text(schema);
	if (type === 'integer' || type === 'number') return number(schema);
	if (type === 'boolean') return true;
	if (type === 'array' || (type === undefined && schema.itemsAt)) {
		const most = Math.min(deep > 0 && !schema.uniqueItems ? 2 : 1, schema.maxItems ?? 2);
		const n = Math.max(schema.minItems ?? 0, most);
		const item = (i) => {
			const made = makeValue(description, schema.itemsAt, deep - 1, level + 1);
			return schema.uniqueItems && typeof made === 'string' && i > 0
				&& !description.merged(schema.itemsAt).enum ? made + i : made;
		};
		if (!schema.itemsAt || level > 12) return [];
		return schema.uniqueItems && description.merged(schema.itemsAt).enum
			? description.merged(schema.itemsAt).enum
				.slice(0, Math.min(n, 1 + (schema.minItems ?? 0)))
			: Array.from({ length: n }, (_, i) => item(i));
	}
	if (type === 'object' || Object.keys(schema.properties).length || schema.additionalProperties) {
		return members(description, schema, deep, level);
	}
	return 'any';
}

function members(description, schema, deep, level) {
	const made = {};
	for (const [key, place] of Object.entries(schema.properties)) {
		const inner = description.merged(place);
		if (inner.readOnly || level > 12) continue;
		if (schema.required.includes(key) || (deep > 0 && level < 4 && !inner.deprecated)) {
			made[key] = makeValue(description, place, deep - 1, level + 1);
		}
	}
	for (const key of schema.required) made[key] ??= 'any';
	// a form cannot say that there is an empty object
	const [first] = Object.entries(schema.properties)
		.filter(([, place]) => !description.merged(place).readOnly);
	if (Object.keys(made).length === 0 && first && level < 8) {
		made[first[0]] = makeValue(description, first[1], deep - 1, level + 1);
	}
	return made;
}
