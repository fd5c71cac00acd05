/*
 * What an OpenAPI description says of an operation, read for api_functions(): its fields with
 * their schemas, what they are called as arguments, and its request body.
 *
 * Nothing here writes SQL.  Functions in PL/pgSQL pin their search_path, those in SQL are bound
 * when they are made.  A place is what errors name: the operation, and where in it.
 */

CREATE FUNCTION dataflows._api_refuse(place text, problem text, hint text) RETURNS void
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = left(place, 300) || ' ' || problem,
		HINT = hint;
END $$;
COMMENT ON FUNCTION dataflows._api_refuse(text, text, text) IS
	'Internal: raises 22023 about a place in a description of an API';

CREATE FUNCTION dataflows._api_expect(value jsonb, kind text, place text) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
	IF jsonb_typeof(value) <> kind THEN
		PERFORM dataflows._api_refuse(place,
			'is ' || jsonb_typeof(value) || ', not ' || kind,
			'Correct the description, or leave the operation out by "operations".');
	END IF;
	RETURN value;
END $$;
COMMENT ON FUNCTION dataflows._api_expect(jsonb, text, text) IS
	'Internal: a value of a description of an API, which has this JSON type, or is not there';

CREATE FUNCTION dataflows._api_target(doc jsonb, ref jsonb, place text) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	pointer text := ref #>> '{}';
	target jsonb;
BEGIN
	IF jsonb_typeof(ref) = 'string' AND starts_with(pointer, '#/') THEN
		IF strpos(pointer, '%') > 0 THEN
			SELECT string_agg(CASE WHEN m[1] ~ '^%[2-7]' THEN
					chr(get_byte(decode(substr(m[1], 2), 'hex'), 0)) ELSE m[1] END, '' ORDER BY n)
				INTO pointer
				FROM regexp_matches(pointer, '%[0-9A-Fa-f]{2}|.', 'g') WITH ORDINALITY AS t (m, n);
		END IF;
		target := doc #> ARRAY(
			SELECT replace(replace(part, '~1', '/'), '~0', '~')
				FROM unnest(string_to_array(substr(pointer, 3), '/')) WITH ORDINALITY AS t (part, n)
				ORDER BY n);
	END IF;
	IF target IS NULL THEN
		PERFORM dataflows._api_refuse(place,
			format('refers to "%s", which is not in the description', left(ref #>> '{}', 200)),
			'Put everything into one description first; bundling tools for OpenAPI do that.');
	END IF;
	RETURN target;
END $$;
COMMENT ON FUNCTION dataflows._api_target(jsonb, jsonb, text) IS
	'Internal: what a $ref in a description of an API refers to';

CREATE FUNCTION dataflows._api_object(doc jsonb, node jsonb, place text) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
	FOR hop IN 1 .. 20 LOOP
		IF dataflows._api_expect(node, 'object', place) -> '$ref' IS NULL THEN
			RETURN node;
		END IF;
		node := dataflows._api_target(doc, node -> '$ref', place);
	END LOOP;
	PERFORM dataflows._api_refuse(place, 'refers to itself',
		'Correct the description, or leave the operation out by "operations".');
END $$;
COMMENT ON FUNCTION dataflows._api_object(jsonb, jsonb, text) IS
	'Internal: an object of a description of an API, wherever its $ref leads; NULL = none';

CREATE FUNCTION dataflows._api_kind(schema jsonb, place text, OUT kind text, OUT nullable boolean)
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	types text[];
	kinds text[];
BEGIN
	CASE coalesce(jsonb_typeof(schema -> 'type'), 'none')
		WHEN 'string' THEN types := ARRAY[schema ->> 'type'];
		WHEN 'array' THEN types := ARRAY(SELECT jsonb_array_elements_text(schema -> 'type'));
		WHEN 'none' THEN types := '{}';
		ELSE PERFORM dataflows._api_expect(schema -> 'type', 'string', place || ', "type"');
	END CASE;
	nullable := coalesce(schema -> 'nullable' = 'true' OR 'null' = ANY (types), false);
	types := array_remove(types, 'null');
	IF types = '{}' THEN
		IF schema -> 'properties' <> '{}' OR schema ? 'additionalProperties' THEN
			types := '{object}';
		ELSIF schema ? 'items' THEN
			types := '{array}';
		ELSIF jsonb_typeof(schema -> 'enum') = 'array' THEN
			types := ARRAY(SELECT DISTINCT jsonb_typeof(e)
				FROM jsonb_array_elements(schema -> 'enum') AS t (e) WHERE e <> 'null');
		END IF;
	END IF;
	kinds := ARRAY(SELECT DISTINCT CASE t WHEN 'string' THEN 'text' WHEN 'number' THEN 'numeric'
			WHEN 'integer' THEN CASE WHEN 'number' = ANY (types) THEN 'numeric' ELSE 'bigint' END
			WHEN 'boolean' THEN 'boolean' WHEN 'array' THEN 'array' WHEN 'object' THEN 'object'
			ELSE 'any' END
		FROM unnest(types) AS u (t));
	kind := CASE WHEN cardinality(kinds) = 1 THEN kinds[1]
		WHEN kinds = '{}' OR kinds && '{array,object,any}' THEN 'any' ELSE 'simple' END;
END $$;
COMMENT ON FUNCTION dataflows._api_kind(jsonb, text) IS
	'Internal: text, bigint, numeric, boolean, array, object, simple (one of the first four) or '
	'any, as "type" of a schema says';

CREATE FUNCTION dataflows._api_merged(doc jsonb, schema jsonb, place text) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	queue jsonb[] := ARRAY[schema];
	followed text[] := '{}';
	merged jsonb := '{}';
	properties jsonb := '{}';
	required jsonb := '[]';
	n int := 1;
	node jsonb;
BEGIN
	WHILE n <= cardinality(queue) LOOP
		node := queue[n];
		n := n + 1;
		-- true and false are schemas, too
		CONTINUE WHEN jsonb_typeof(node) = 'boolean';
		PERFORM dataflows._api_expect(node, 'object', place);
		-- each is merged once, so that circles end
		IF node ? '$ref' AND (node ->> '$ref') <> ALL (followed) THEN
			followed := followed || (node ->> '$ref');
			queue := queue || dataflows._api_target(doc, node -> '$ref', place);
		END IF;
		IF node ? 'allOf' THEN
			queue := queue || ARRAY(SELECT jsonb_array_elements(
				dataflows._api_expect(node -> 'allOf', 'array', place || ', "allOf"')));
		END IF;
		IF node ? 'properties' THEN
			properties := properties || dataflows._api_expect(node -> 'properties', 'object',
				place || ', "properties"') || properties;
		END IF;
		-- in OpenAPI 2, and in some that came from it, a property says for itself that it is
		IF jsonb_typeof(node -> 'required') = 'array' THEN
			required := required || (node -> 'required');
		END IF;
		merged := (node - '{$ref,allOf,properties,required}'::text[]) || merged;
		IF n > 500 THEN
			PERFORM dataflows._api_refuse(place, 'is made of more than 500 schemas',
				'Simplify the description, or leave the operation out by "operations".');
		END IF;
	END LOOP;
	IF properties <> '{}' THEN
		merged := merged || jsonb_build_object('properties', properties);
	END IF;
	RETURN merged || jsonb_build_object('required', required);
END $$;
COMMENT ON FUNCTION dataflows._api_merged(jsonb, jsonb, text) IS
	'Internal: a schema with those that it refers to and all of "allOf" in it';

CREATE FUNCTION dataflows._api_schema(doc jsonb, schema jsonb, place text) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	merged jsonb := dataflows._api_merged(doc, coalesce(schema, '{}'), place);
	mine record;
	other jsonb;
	its record;
	kinds text[] := '{}';
	allowed jsonb := '[]';
BEGIN
	IF merged ? 'const' THEN
		merged := merged || jsonb_build_object('enum', jsonb_build_array(merged -> 'const'));
	END IF;
	SELECT * INTO mine FROM dataflows._api_kind(merged, place);
	IF mine.kind = 'any' AND (merged ? 'oneOf' OR merged ? 'anyOf') THEN
		FOR other IN SELECT jsonb_array_elements(dataflows._api_expect(
			coalesce(merged -> 'oneOf', merged -> 'anyOf'), 'array', place || ', "oneOf"'))
		LOOP
			other := dataflows._api_merged(doc, other, place);
			SELECT * INTO its FROM dataflows._api_kind(other, place);
			mine.nullable := mine.nullable OR its.nullable;
			CONTINUE WHEN other -> 'type' = '"null"';
			kinds := kinds || its.kind;
			-- without one of its own an alternative lets everything in
			allowed := CASE WHEN jsonb_typeof(other -> 'enum') = 'array'
				THEN allowed || (other -> 'enum') END;
		END LOOP;
		mine.kind := CASE WHEN kinds[1] = ALL (kinds) THEN kinds[1]
			WHEN kinds && '{array,object,any}' OR kinds = '{}' THEN 'any' ELSE 'simple' END;
		merged := merged - '{enum,properties}'::text[];
		IF allowed <> '[]' THEN
			merged := merged || jsonb_build_object('enum', allowed);
		END IF;
	END IF;
	-- what is below is no matter of an argument
	RETURN merged - '{items,oneOf,anyOf,not,example,examples,default}'::text[]
		|| jsonb_build_object('kind', mine.kind, 'nullable', mine.nullable);
END $$;
COMMENT ON FUNCTION dataflows._api_schema(jsonb, jsonb, text) IS
	'Internal: a schema, merged, with its "kind" and whether it is "nullable"; of "oneOf" and '
	'"anyOf" what its alternatives have in common';

CREATE FUNCTION dataflows._api_name(words text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT
	BEGIN ATOMIC
	SELECT left(regexp_replace(trim('_' FROM regexp_replace(lower(
		regexp_replace(regexp_replace(words, '([A-Z]+)([A-Z][a-z])', '\1_\2', 'g'),
			'([a-z0-9])([A-Z])', '\1_\2', 'g') COLLATE "C"),
		'[^a-z0-9]+', '_', 'g')), '^([0-9])', '_\1'), 63);
	END;
COMMENT ON FUNCTION dataflows._api_name(text) IS
	'Internal: a name of a description of an API in snake_case, of letters, digits and _ alone';

CREATE FUNCTION dataflows._api_text(words jsonb, size int) RETURNS text
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	said text;
BEGIN
	IF jsonb_typeof(words) IS DISTINCT FROM 'string' THEN
		RETURN NULL;
	END IF;
	said := left(words #>> '{}', 4 * size);
	IF strpos(said, '<') > 0 THEN
		said := regexp_replace(said, '<[a-zA-Z/][^<>]*>', '', 'g');
	END IF;
	said := trim(regexp_replace(said, '[\s\u0001-\u001f\u007f]+', ' ', 'g'));
	RETURN nullif(CASE WHEN length(said) > size THEN left(said, size - 3) || '...' ELSE said END,
		'');
END $$;
COMMENT ON FUNCTION dataflows._api_text(jsonb, int) IS
	'Internal: prose of a description of an API on one line, without tags';

/* ---- the fields of an operation --------------------------------------------------------- */

CREATE FUNCTION dataflows._api_parameters(doc jsonb, path text, item jsonb, operation jsonb,
	place text) RETURNS SETOF jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	found_at jsonb := '{}';
	listed jsonb[] := '{}';
	parameter jsonb;
	content jsonb;
	id text;
	at text;
BEGIN
	FOR parameter IN
		SELECT jsonb_array_elements(coalesce(dataflows._api_expect(t.list, 'array',
				place || ', "parameters"'), '[]'))
			FROM (VALUES (1, item -> 'parameters'), (2, operation -> 'parameters')) AS t (n, list)
			ORDER BY n
	LOOP
		parameter := dataflows._api_object(doc, parameter, place || ', a parameter');
		at := format('%s, parameter "%s"', place, left(parameter ->> 'name', 100));
		IF jsonb_typeof(parameter -> 'name') IS DISTINCT FROM 'string' OR coalesce(
			parameter ->> 'in' NOT IN ('path', 'query', 'header', 'cookie'), true)
		THEN
			PERFORM dataflows._api_refuse(at, 'has no "name", or no "in" that is known',
				'Correct the description: "in" is path, query, header or cookie.');
		END IF;
		content := dataflows._api_expect(parameter -> 'content', 'object', at);
		parameter := parameter || jsonb_build_object(
			'required', coalesce(parameter -> 'required' = 'true', false)
				OR parameter ->> 'in' = 'path',
			'json', content IS NOT NULL,
			'style', coalesce(parameter ->> 'style',
				CASE WHEN parameter ->> 'in' = 'query' THEN 'form' ELSE 'simple' END),
			'schema', dataflows._api_schema(doc, coalesce(parameter -> 'schema',
				(SELECT c.value -> 'schema' FROM jsonb_each(content) AS c LIMIT 1)), at)
				- 'properties');
		parameter := parameter || jsonb_build_object('explode', coalesce(
			parameter -> 'explode' = 'true', parameter ->> 'style' = 'form'));
		-- that of the operation takes the place of that of its path
		id := (parameter ->> 'in') || ' ' || (parameter ->> 'name');
		IF found_at ? id THEN
			listed[(found_at ->> id)::int] := parameter;
		ELSE
			listed := listed || parameter;
			found_at := found_at || jsonb_build_object(id, cardinality(listed));
		END IF;
	END LOOP;
	-- in the order of the path, also those that the description forgot
	RETURN QUERY
		SELECT coalesce(listed[(found_at ->> ('path ' || m[1]))::int], jsonb_build_object(
				'name', m[1], 'in', 'path', 'required', true, 'style', 'simple', 'explode', false,
				'json', false, 'schema', '{"kind": "text"}'::jsonb))
			FROM (SELECT m, min(n) AS n
				FROM regexp_matches(path, '\{([^{}]*)\}', 'g') WITH ORDINALITY AS r (m, n)
				GROUP BY m) AS t
			ORDER BY t.n;
	RETURN QUERY SELECT p FROM unnest(listed) WITH ORDINALITY AS t (p, n)
		WHERE p ->> 'in' <> 'path' ORDER BY n;
END $$;
COMMENT ON FUNCTION dataflows._api_parameters(jsonb, text, jsonb, jsonb, text) IS
	'Internal: the parameters of an operation, with all defaults filled in';

CREATE FUNCTION dataflows._api_body(doc jsonb, method text, operation jsonb, place text)
	RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	body jsonb := dataflows._api_object(doc, operation -> 'requestBody',
		place || ', "requestBody"');
	chosen record;
	schema jsonb;
BEGIN
	IF body IS NULL OR method IN ('GET', 'HEAD') THEN
		RETURN NULL;
	END IF;
	-- the one that says most
	SELECT c.key AS type, c.value AS media, t.n, split_part(lower(c.key), ';', 1) AS bare
		INTO chosen
		FROM jsonb_each(dataflows._api_expect(body -> 'content', 'object',
			place || ', "content" of the body')) AS c
		CROSS JOIN LATERAL (SELECT CASE WHEN lower(c.key) ~ '^application/json\s*(;|$)' THEN 1
			WHEN lower(c.key) ~ '[/+]json\s*(;|$)' THEN 2
			WHEN lower(c.key) ~ '^application/x-www-form-urlencoded' THEN 3
			WHEN lower(c.key) ~ '^multipart/form-data' THEN 4
			WHEN lower(c.key) ~ '\*' THEN 5 WHEN lower(c.key) ~ '^text/|xml' THEN 6 ELSE 7 END)
			AS t (n)
		ORDER BY t.n, c.key COLLATE "C" LIMIT 1;
	IF chosen.n IS NULL THEN
		RETURN NULL;
	END IF;
	schema := dataflows._api_schema(doc, dataflows._api_expect(chosen.media, 'object',
		place || ', "content" of the body') -> 'schema', place || ', the body');
	IF schema ->> 'kind' = 'object' AND schema -> 'properties' IS NULL
		AND schema -> 'additionalProperties' = 'false'
	THEN
		RETURN NULL;
	END IF;
	RETURN jsonb_build_object('schema', schema, 'media', chosen.media,
		'description', body -> 'description',
		'required', coalesce(body -> 'required' = 'true', false),
		'whole', chosen.n > 4 OR schema ->> 'kind' <> 'object' OR schema -> 'properties' IS NULL,
		'encoding', CASE chosen.n WHEN 3 THEN 'form' WHEN 4 THEN 'multipart' WHEN 6 THEN 'text'
			WHEN 7 THEN 'text' ELSE 'json' END,
		'content_type', CASE WHEN chosen.n IN (2, 6, 7) THEN trim(chosen.type) END);
END $$;
COMMENT ON FUNCTION dataflows._api_body(jsonb, text, jsonb, text) IS
	'Internal: the request body of an operation: how it is encoded, and whether it is one argument '
	'as a whole; NULL = none';

CREATE FUNCTION dataflows._api_properties(doc jsonb, body jsonb, place text) RETURNS SETOF jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	required jsonb := body -> 'schema' -> 'required';
	property record;
	field jsonb;
	encoding jsonb;
BEGIN
	IF (body -> 'whole')::boolean THEN
		RETURN NEXT jsonb_build_object('name', 'body', 'in', 'whole', 'style', 'none',
			'required', body -> 'required', 'description', body -> 'description',
			'json', false, 'explode', false, 'schema', CASE WHEN body ->> 'encoding' = 'text'
				THEN '{"kind": "text"}' ELSE jsonb_build_object('kind', CASE WHEN
					body #>> '{schema,kind}' IN ('array', 'object')
					THEN body #> '{schema,kind}' ELSE '"any"' END,
					'nullable', body #> '{schema,nullable}') END);
		RETURN;
	END IF;
	FOR property IN
		SELECT p.key, p.value FROM jsonb_each(body -> 'schema' -> 'properties') AS p
			LEFT JOIN LATERAL (SELECT min(n) AS n FROM jsonb_array_elements(required)
				WITH ORDINALITY AS r (name, n) WHERE r.name = to_jsonb(p.key)) AS r ON true
			ORDER BY r.n, p.key COLLATE "C"
	LOOP
		field := dataflows._api_schema(doc, property.value,
			format('%s, property "%s"', place, left(property.key, 100)));
		CONTINUE WHEN coalesce(field -> 'readOnly' = 'true', false);
		-- of a form
		encoding := body -> 'media' -> 'encoding' -> property.key;
		RETURN NEXT jsonb_build_object('name', property.key, 'in', 'body',
			'schema', field - 'properties', 'required', required ? property.key,
			'deprecated', field -> 'deprecated', 'description', field -> 'description',
			-- an object that is a part of its own is JSON, unless it is to be written as a form
			'json', coalesce(encoding ->> 'contentType', '') ~* '[/+]json'
				OR body ->> 'encoding' = 'multipart' AND field ->> 'kind' = 'object'
					AND encoding ->> 'style' IS NULL,
			'style', coalesce(encoding ->> 'style', CASE WHEN field ->> 'kind' = 'array'
				THEN 'form' ELSE 'deepObject' END),
			'explode', coalesce(encoding -> 'explode' = 'true',
				coalesce(encoding ->> 'style', 'form') = 'form'));
	END LOOP;
END $$;
COMMENT ON FUNCTION dataflows._api_properties(jsonb, jsonb, text) IS
	'Internal: the properties of a request body, in the form of parameters; required ones first';

CREATE FUNCTION dataflows._api_not_sent(field jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE
	BEGIN ATOMIC
	SELECT CASE
		WHEN field ->> 'in' = 'cookie' THEN 'cookies are not sent'
		WHEN field ->> 'in' = 'header' AND lower(field ->> 'name') IN ('accept', 'content-type',
			'authorization', 'proxy-authorization', 'cookie', 'idempotency-key', 'content-encoding',
			'accept-encoding', 'connection', 'content-length', 'expect', 'host', 'http2-settings',
			'keep-alive', 'proxy-authenticate', 'proxy-connection', 'te', 'trailer',
			'transfer-encoding', 'upgrade') THEN 'the engine or the system''s options set it'
		WHEN field ->> 'in' = 'header' AND field ->> 'name' !~ '^[A-Za-z0-9!#$%&''*+.^_`|~-]+$'
			THEN 'it is no name of a header'
		WHEN field -> 'deprecated' = 'true' AND NOT (field -> 'required')::boolean
			THEN 'deprecated' END;
	END;
COMMENT ON FUNCTION dataflows._api_not_sent(jsonb) IS
	'Internal: why a field of an operation gets no argument; NULL = it gets one';

CREATE FUNCTION dataflows._api_fields(fields jsonb[], encoding text, taken text[])
	RETURNS SETOF jsonb
	LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	field jsonb;
	kind text;
	base text;
	suffix text;
	name text;
	count int := 0;
BEGIN
	FOR field IN
		SELECT f FROM unnest(fields) WITH ORDINALITY AS t (f, n)
			WHERE dataflows._api_not_sent(f) IS NULL
			ORDER BY NOT (f -> 'required')::boolean, n
	LOOP
		count := count + 1;
		IF count > 90 THEN
			RETURN NEXT field || jsonb_build_object('type', 'jsonb', 'overflow', true,
				'arg', format('(more -> %L)', field ->> 'name'));
			CONTINUE;
		END IF;
		base := coalesce(nullif(dataflows._api_name(field ->> 'name'), ''), 'argument');
		name := base;
		suffix := '';
		WHILE name = ANY (taken) LOOP
			suffix := suffix || '_';
			name := left(base, 63 - length(suffix)) || suffix;
		END LOOP;
		taken := taken || name;
		kind := field #>> '{schema,kind}';
		RETURN NEXT field || jsonb_build_object('arg', name, 'overflow', false, 'type', CASE
			WHEN encoding = 'multipart' AND field ->> 'in' = 'body' AND kind = 'text'
				AND (field #>> '{schema,format}' = 'binary'
					OR field -> 'schema' ? 'contentMediaType') THEN 'jsonb'
			WHEN kind IN ('text', 'bigint', 'numeric', 'boolean') THEN kind
			WHEN kind = 'simple' AND (encoding <> 'json' OR field ->> 'in' <> 'body') THEN 'text'
			ELSE 'jsonb' END);
	END LOOP;
END $$;
COMMENT ON FUNCTION dataflows._api_fields(jsonb[], text, text[]) IS
	'Internal: those fields of an operation that are sent, with the name and type of the argument; '
	'required ones first. Past 90 they are in the argument "more"';
