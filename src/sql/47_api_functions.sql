/*
 * Functions for the operations of an API, made from its OpenAPI description.  They are
 * statements as text, which somebody reads, keeps and runs; nothing here changes anything.
 *
 * Whatever a description holds, it reaches a statement only through quote_literal() (%L), or as
 * a name of the letters a to z, digits and _ alone.
 */

/* ---- the function of an operation ------------------------------------------------------- */

CREATE FUNCTION dataflows._api_raise(condition text, problem text, hint text) RETURNS text
	LANGUAGE sql IMMUTABLE
	BEGIN ATOMIC
	SELECT format(E'\tIF %s THEN\n\t\tRAISE EXCEPTION USING ERRCODE = ''22023'', MESSAGE = %L,'
		'\n\t\t\tHINT = %L;\n\tEND IF;\n', condition, problem, hint);
	END;
COMMENT ON FUNCTION dataflows._api_raise(text, text, text) IS
	'Internal: the statement of a made function that refuses an argument';

CREATE FUNCTION dataflows._api_pattern(pattern jsonb) RETURNS text
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	re text := pattern #>> '{}';
BEGIN
	-- what PostgreSQL reads as ECMAScript does; the system judges the others
	IF jsonb_typeof(pattern) <> 'string' OR length(re) > 500
		OR re ~ '\\[^dwsnrt\W]|^\*\*\*|\[[:.=]|\(\?'
	THEN
		RETURN NULL;
	END IF;
	PERFORM '' ~ re;
	RETURN re;
EXCEPTION WHEN invalid_regular_expression THEN
	RETURN NULL;
END $$;
COMMENT ON FUNCTION dataflows._api_pattern(jsonb) IS
	'Internal: a pattern of a schema that PostgreSQL understands in the same way; otherwise NULL';

CREATE FUNCTION dataflows._api_checks(field jsonb, fn text, operation text) RETURNS text
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	schema jsonb := field -> 'schema';
	type text := field ->> 'type';
	kind text := schema ->> 'kind';
	arg text := field ->> 'arg';
	what text := CASE WHEN (field -> 'overflow')::boolean
		THEN format('"%s" in argument "more" of %s()', field ->> 'name', fn)
		ELSE format('argument "%s" of %s()', arg, fn) END;
	checks text := '';
	list text;
	bound text;
	number text := '^-?[0-9]{1,40}([.][0-9]{1,40})?$';
BEGIN
	IF (field -> 'required')::boolean THEN
		checks := dataflows._api_raise(arg || ' IS NULL', what || ' is null',
			operation || ' requires it.');
	END IF;
	IF type = 'jsonb' AND kind IN ('array', 'object') THEN
		RETURN checks || dataflows._api_raise(format('jsonb_typeof(%s) %s', arg,
			CASE WHEN (schema -> 'nullable')::boolean THEN format('NOT IN (%L, ''null'')', kind)
			ELSE format('<> %L', kind) END), what || ' is not a JSON ' || kind,
			'Give a jsonb ' || kind || '.');
	END IF;
	IF type IN ('text', 'bigint', 'numeric') AND jsonb_typeof(schema -> 'enum') = 'array'
		AND jsonb_array_length(schema -> 'enum') BETWEEN 1 AND 1000
	THEN
		SELECT string_agg(CASE WHEN type = 'text' THEN quote_literal(e) ELSE e END, ', ')
			INTO list FROM jsonb_array_elements_text(schema -> 'enum') AS t (e)
			WHERE e IS NOT NULL AND (type = 'text' OR e ~ number);
		IF list IS NOT NULL THEN
			checks := checks || dataflows._api_raise(format('%s NOT IN (%s)', arg, list),
				what || ' is not one of the values that are allowed',
				'Give one of ' || dataflows._api_text(to_jsonb(list), 1000) || '.');
		END IF;
	END IF;
	IF type IN ('bigint', 'numeric') THEN
		bound := schema ->> 'minimum';
		IF bound ~ number THEN
			checks := checks || dataflows._api_raise(format('%s %s %s', arg, CASE WHEN
				schema -> 'exclusiveMinimum' = 'true' THEN '<=' ELSE '<' END, bound),
				what || ' is too small', 'The minimum is ' || bound || '.');
		END IF;
		bound := schema ->> 'exclusiveMinimum';
		IF bound ~ number THEN
			checks := checks || dataflows._api_raise(format('%s <= %s', arg, bound),
				what || ' is too small', 'It must be more than ' || bound || '.');
		END IF;
		bound := schema ->> 'maximum';
		IF bound ~ number THEN
			checks := checks || dataflows._api_raise(format('%s %s %s', arg, CASE WHEN
				schema -> 'exclusiveMaximum' = 'true' THEN '>=' ELSE '>' END, bound),
				what || ' is too large', 'The maximum is ' || bound || '.');
		END IF;
		bound := schema ->> 'exclusiveMaximum';
		IF bound ~ number THEN
			checks := checks || dataflows._api_raise(format('%s >= %s', arg, bound),
				what || ' is too large', 'It must be less than ' || bound || '.');
		END IF;
	ELSIF type = 'text' AND kind = 'text' THEN
		bound := schema ->> 'minLength';
		IF bound ~ '^[1-9][0-9]{0,8}$' THEN
			checks := checks || dataflows._api_raise(format('length(%s) < %s', arg, bound),
				what || ' is too short', 'It has at least ' || bound || ' characters.');
		END IF;
		bound := schema ->> 'maxLength';
		IF bound ~ '^[0-9]{1,9}$' THEN
			checks := checks || dataflows._api_raise(format('length(%s) > %s', arg, bound),
				what || ' is too long', 'It has at most ' || bound || ' characters.');
		END IF;
		bound := dataflows._api_pattern(schema -> 'pattern');
		IF bound IS NOT NULL THEN
			checks := checks || dataflows._api_raise(format('%s !~ %L', arg, bound),
				what || ' does not have the form that is demanded',
				'It matches ' || dataflows._api_text(to_jsonb(bound), 500) || '.');
		END IF;
	END IF;
	RETURN checks;
END $$;
COMMENT ON FUNCTION dataflows._api_checks(jsonb, text, text) IS
	'Internal: the statements of a made function that refuse values of an argument before anything '
	'is sent';

CREATE FUNCTION dataflows._api_text_of(field jsonb) RETURNS text
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	arg text := field ->> 'arg';
	type text := field ->> 'type';
	kind text := field #>> '{schema,kind}';
	explode boolean := field -> 'explode';
	separator text := CASE field ->> 'style' WHEN 'spaceDelimited' THEN ' '
		WHEN 'pipeDelimited' THEN '|'
		WHEN 'label' THEN CASE WHEN explode THEN '.' ELSE ',' END ELSE ',' END;
BEGIN
	RETURN CASE
		WHEN (field -> 'json')::boolean
			THEN format(CASE type WHEN 'jsonb' THEN '%s::text' ELSE 'to_jsonb(%s)::text' END, arg)
		WHEN type = 'text' THEN arg
		WHEN type <> 'jsonb' THEN arg || '::text'
		WHEN kind = 'array' THEN format('(SELECT string_agg(i.item, %L) FROM '
			'jsonb_array_elements_text(%s) AS i (item))', separator, arg)
		WHEN kind = 'object' THEN format('(SELECT string_agg(i.key || %L || i.value, %L) FROM '
			'jsonb_each_text(%s) AS i (key, value))',
			CASE WHEN explode THEN '=' ELSE separator END, separator, arg)
		ELSE format('(%s #>> ''{}'')', arg) END;
END $$;
COMMENT ON FUNCTION dataflows._api_text_of(jsonb) IS
	'Internal: the expression of a made function that writes an argument as one text';

CREATE FUNCTION dataflows._api_value(field jsonb, encoding text, repeats boolean) RETURNS text
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	plain text := format(CASE field ->> 'type' WHEN 'jsonb' THEN '%s' ELSE 'to_jsonb(%s)' END,
		field ->> 'arg');
	kind text := field #>> '{schema,kind}';
	style text := field ->> 'style';
	in_body boolean := field ->> 'in' = 'body';
BEGIN
	IF in_body AND encoding = 'json' THEN
		RETURN plain;
	ELSIF (field -> 'json')::boolean THEN
		RETURN format('to_jsonb((%s)::text)', plain);
	ELSIF kind IN ('array', 'object') AND style <> 'deepObject'
		AND NOT (field -> 'explode')::boolean
	THEN
		RETURN format('to_jsonb(%s)', dataflows._api_text_of(field));
	ELSIF kind = 'array' AND style = 'deepObject' AND repeats THEN
		-- as indices, since the items of another field are repeated
		RETURN format('(SELECT jsonb_object_agg(i.n - 1, i.item) FROM jsonb_array_elements(%s) '
			'WITH ORDINALITY AS i (item, n))', plain);
	END IF;
	RETURN plain;
END $$;
COMMENT ON FUNCTION dataflows._api_value(jsonb, text, boolean) IS
	'Internal: the expression of a made function that writes an argument as a jsonb value';

CREATE FUNCTION dataflows._api_members(fields jsonb[], encoding text, repeats boolean, rest text)
	RETURNS text
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	f jsonb;
	"values" text[] := '{}';
	others text[] := '{}';
BEGIN
	FOREACH f IN ARRAY fields LOOP
		-- an object whose members are parameters of their own
		IF f ->> 'style' = 'form' AND (f -> 'explode')::boolean AND NOT (f -> 'json')::boolean
			AND f #>> '{schema,kind}' = 'object'
			AND (f ->> 'in' = 'query' OR encoding IN ('form', 'multipart'))
		THEN
			others := others || format('SELECT * FROM jsonb_each(%s)', f ->> 'arg');
		ELSE
			"values" := "values" || format('(%L, %s)', f ->> 'name', CASE f ->> 'in'
				WHEN 'header' THEN format('to_jsonb(%s)', dataflows._api_text_of(f))
				ELSE dataflows._api_value(f, encoding, repeats) END);
		END IF;
	END LOOP;
	IF "values" <> '{}' THEN
		others := ('VALUES ' || array_to_string("values", E',\n\t\t\t\t\t')) || others;
	END IF;
	others := array_remove(others || rest, NULL);
	RETURN CASE WHEN others <> '{}' THEN format(E'(SELECT jsonb_object_agg(p.name, p.value)\n'
		'\t\t\tFROM (%s) AS p (name, value)\n\t\t\tWHERE p.value IS NOT NULL)',
		array_to_string(others, E'\n\t\t\t\tUNION ALL ')) END;
END $$;
COMMENT ON FUNCTION dataflows._api_members(jsonb[], text, boolean, text) IS
	'Internal: the expression of a made function that gathers arguments into a jsonb object, '
	'without those that are NULL; NULL = there are none';

CREATE FUNCTION dataflows._api_path(path text, fields jsonb[], place text) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	template text;
	args text;
	n int;
BEGIN
	SELECT string_agg(CASE WHEN m[1] IS NULL THEN replace(m[2], '%', '%%')
				ELSE CASE f ->> 'style' WHEN 'label' THEN '.'
					WHEN 'matrix' THEN ';' || replace(m[1], '%', '%%') || '=' ELSE '' END || '%s'
				END, '' ORDER BY r.n),
			string_agg(', ' || dataflows._api_text_of(f), '' ORDER BY r.n)
				FILTER (WHERE m[1] IS NOT NULL), count(m[1])
		INTO template, args, n
		FROM regexp_matches(path, '\{([^{}]*)\}|([^{}]+|[{}])', 'g') WITH ORDINALITY AS r (m, n)
			LEFT JOIN unnest(fields) AS u (f) ON f ->> 'in' = 'path' AND f ->> 'name' = m[1];
	BEGIN
		IF template !~ '^/[!-~]*$' OR template ~ '[{}#\\]' THEN
			RAISE EXCEPTION USING ERRCODE = '22023';
		END IF;
		PERFORM dataflows.url(template, VARIADIC array_fill('x'::text, ARRAY[n]));
	EXCEPTION WHEN invalid_parameter_value THEN
		PERFORM dataflows._api_refuse(place, 'has a path that cannot be requested',
			'Correct the description: a path begins with "/", and has no spaces and no "#".');
	END;
	RETURN CASE WHEN n = 0 AND strpos(template, '%') = 0 THEN quote_literal(template)
		ELSE format('dataflows.url(%L%s)', template, coalesce(args, '')) END;
END $$;
COMMENT ON FUNCTION dataflows._api_path(text, jsonb[], text) IS
	'Internal: the expression of a made function for the path that is requested';

CREATE FUNCTION dataflows._api_undo(doc jsonb, path text, operation jsonb, fields jsonb[],
	place text, OUT item text, OUT field text, OUT expression text)
	LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	collection text := rtrim(path, '/');
	name text;
	removal jsonb;
	response jsonb;
	schema jsonb;
	inner_schema jsonb;
	other jsonb;
	common jsonb;
	prefix text := '';
	word text;
BEGIN
	-- the path of one of them, and what it is called there
	SELECT k, substring(k FROM '\{([^{}]*)\}/?$') INTO item, name
		FROM jsonb_object_keys(doc -> 'paths') AS t (k)
		WHERE starts_with(k, collection || '/{')
			AND substr(k, length(collection) + 1) ~ '^/\{[^{}]*\}/?$'
			AND jsonb_typeof(doc #> ARRAY['paths', k, 'delete']) = 'object'
			AND doc #> ARRAY['paths', k, 'delete', 'deprecated'] IS DISTINCT FROM 'true'
		ORDER BY k COLLATE "C" LIMIT 1;
	IF item IS NULL THEN
		RETURN;
	END IF;
	removal := doc #> ARRAY['paths', item, 'delete'];
	IF EXISTS (SELECT FROM dataflows._api_parameters(doc, item, doc #> ARRAY['paths', item],
			removal, place) AS t (p) WHERE p ->> 'in' <> 'path' AND (p -> 'required')::boolean)
	THEN
		RETURN;
	END IF;
	SELECT r.value INTO response
		FROM jsonb_each(dataflows._api_expect(operation -> 'responses', 'object',
			place || ', "responses"')) AS r
		WHERE r.key ~ '^2' ORDER BY r.key <> '201', r.key <> '200', r.key COLLATE "C" LIMIT 1;
	response := dataflows._api_object(doc, response, place || ', its response');
	SELECT c.value -> 'schema' INTO schema
		FROM jsonb_each(dataflows._api_expect(response -> 'content', 'object',
			place || ', its response')) AS c
		WHERE c.key ~* '[/+]json|\*' ORDER BY c.key COLLATE "C" LIMIT 1;
	IF schema IS NULL THEN
		RETURN;
	END IF;
	schema := dataflows._api_merged(doc, schema, place || ', its response');
	-- what all of several forms have
	FOR other IN SELECT jsonb_array_elements(dataflows._api_expect(
		coalesce(schema -> 'oneOf', schema -> 'anyOf'), 'array', place || ', its response'))
	LOOP
		other := coalesce(dataflows._api_merged(doc, other, place || ', its response')
			-> 'properties', '{}');
		common := CASE WHEN common IS NULL THEN other ELSE (SELECT jsonb_object_agg(c.key, c.value)
			FROM jsonb_each(common) AS c WHERE other ? c.key) END;
	END LOOP;
	schema := coalesce(schema -> 'properties', '{}') || coalesce(common, '{}');
	-- one that has nothing but the resource in it
	IF (SELECT count(*) FROM jsonb_object_keys(schema)) = 1 THEN
		SELECT s.key, s.value INTO word, inner_schema FROM jsonb_each(schema) AS s;
		inner_schema := dataflows._api_merged(doc, inner_schema, place || ', its response');
		IF inner_schema ? 'properties' AND word ~ '^[A-Za-z0-9_]+$' THEN
			schema := inner_schema -> 'properties';
			prefix := word || '.';
		END IF;
	END IF;
	-- {name}, {contactId} as contact_id, the slug of {team_slug}, the id of {customer}
	SELECT s.key INTO word
		FROM (VALUES (1, name), (2, dataflows._api_name(name)),
				(3, substring(dataflows._api_name(name) FROM '_([a-z0-9]+)$')), (4, 'id'))
			AS t (n, word)
		JOIN jsonb_each(schema) AS s ON s.key = t.word OR (t.n = 2
			AND dataflows._api_name(s.key) = t.word)
		WHERE s.key ~ '^[A-Za-z0-9_-]+$' AND (SELECT k.kind FROM dataflows._api_kind(
				dataflows._api_merged(doc, s.value, place || ', its response'), place) AS k)
			IN ('text', 'bigint', 'numeric', 'simple')
		ORDER BY t.n, s.key COLLATE "C" LIMIT 1;
	IF word IS NULL THEN
		RETURN;
	END IF;
	field := '{' || prefix || word || '}';
	word := '/' || field || CASE WHEN item LIKE '%/' THEN '/' ELSE '' END;
	expression := CASE WHEN strpos(collection, '{') = 0
		THEN quote_literal('DELETE ' || collection || word)
		ELSE format('''DELETE '' || %s || %L', dataflows._api_path(collection, fields, place),
			word) END;
END $$;
COMMENT ON FUNCTION dataflows._api_undo(jsonb, text, jsonb, jsonb[], text) IS
	'Internal: the DELETE that takes back a POST: the path of the item, the field of the response '
	'that names it, and the expression of a made function; NULL = there is none';

CREATE FUNCTION dataflows._api_comment(operation jsonb, request text, system name, fields jsonb[],
	every jsonb[], undo text, has_more boolean, server jsonb) RETURNS text
	LANGUAGE plpgsql IMMUTABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	f jsonb;
	lines text[];
	overflow text;
	without text;
BEGIN
	lines := ARRAY[coalesce(dataflows._api_text(operation -> 'summary', 300),
			dataflows._api_text(operation -> 'description', 600)),
		format('Sends %s to system "%s". step: its name. What is NULL is not sent.', request,
			system)];
	FOREACH f IN ARRAY fields LOOP
		IF (f -> 'overflow')::boolean THEN
			overflow := concat_ws(', ', overflow, f ->> 'name');
			CONTINUE;
		END IF;
		lines := lines || (f ->> 'arg'
			|| CASE WHEN (f -> 'required')::boolean THEN ' (required)' ELSE '' END
			|| coalesce(': ' || dataflows._api_text(coalesce(f -> 'description',
				f #> '{schema,description}'), 200), ''));
	END LOOP;
	IF has_more THEN
		lines := lines || ('more: further fields, as an object; null in it is sent'
			|| coalesce(': ' || overflow, ''));
	END IF;
	lines := lines || ('The description names another server for it: '
		|| dataflows._api_text(server, 200));
	FOREACH f IN ARRAY every LOOP
		IF dataflows._api_not_sent(f) IS NOT NULL THEN
			without := concat_ws(', ', without, format('%s (%s)',
				dataflows._api_text(f -> 'name', 60), dataflows._api_not_sent(f)));
		END IF;
	END LOOP;
	RETURN array_to_string(lines || ARRAY[undo,
		'probe, probe_found, doubt, retry, timeout, wait, answers: those of dataflows.http()',
		'Without an argument: ' || without,
		'Errors: 22023 (a value that the system would refuse), and those of dataflows.http()'],
		E'\n');
END $$;
COMMENT ON FUNCTION dataflows._api_comment(jsonb, text, name, jsonb[], jsonb[], text, boolean,
	jsonb) IS
	'Internal: the comment on a made function';

CREATE FUNCTION dataflows._api_source(system name, method text, path_expression text,
	fields jsonb[], body jsonb, undo text, has_more boolean, fn text, request text) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	encoding text := coalesce(body ->> 'encoding', 'none');
	repeats boolean := EXISTS (SELECT FROM unnest(fields) AS t (f)
		WHERE f #>> '{schema,kind}' = 'array' AND NOT (f -> 'json')::boolean
			AND f ->> 'style' <> 'deepObject' AND (f -> 'explode')::boolean
			AND (f ->> 'in' = 'query'
				OR f ->> 'in' = 'body' AND encoding IN ('form', 'multipart')));
	options jsonb;
	rest text;
	content text;
	checks text;
BEGIN
	options := jsonb_strip_nulls(jsonb_build_object('encoding', body -> 'encoding',
		'content_type', body -> 'content_type',
		'form_arrays', CASE WHEN repeats THEN 'repeat' END,
		'trailing_slash', CASE WHEN path_expression ~ '/''' OR undo ~ '/''$' THEN true END));
	SELECT string_agg(dataflows._api_checks(f, fn, request), '' ORDER BY n) INTO checks
		FROM unnest(fields) WITH ORDINALITY AS t (f, n);
	IF has_more THEN
		checks := coalesce(checks, '') || dataflows._api_raise(
			'jsonb_typeof(more) <> ''object''',
			format('argument "more" of %s() is not a JSON object', fn), 'Give names and values.');
	END IF;
	IF body IS NOT NULL AND (body -> 'whole')::boolean THEN
		SELECT CASE f ->> 'type' WHEN 'jsonb' THEN f ->> 'arg' ELSE
			format('to_jsonb(%s)', f ->> 'arg') END INTO content
			FROM unnest(fields) AS t (f) WHERE f ->> 'in' = 'whole';
	ELSIF body IS NOT NULL THEN
		SELECT 'SELECT * FROM jsonb_each(more) AS m' || coalesce(' WHERE m.key NOT IN (' ||
				string_agg(quote_literal(f ->> 'name'), ', ') || ')', '')
			INTO rest FROM unnest(fields) AS t (f)
			WHERE (f -> 'overflow')::boolean AND f ->> 'in' <> 'body';
		content := dataflows._api_members(ARRAY(SELECT f
			FROM unnest(fields) WITH ORDINALITY AS t (f, n)
			WHERE f ->> 'in' = 'body' AND NOT (f -> 'overflow')::boolean ORDER BY n),
			encoding, repeats, rest);
		-- a body that must be there is there, if only as an empty object
		IF (body -> 'required')::boolean AND encoding <> 'multipart' THEN
			content := format('coalesce(%s, ''{}'')', content);
		END IF;
	END IF;
	RETURN format(E'\n-- made by dataflows.api_functions()\n#variable_conflict use_column\nBEGIN\n'
		'%s\tRETURN dataflows.http(step, %L, %L, %s%s,\n\t\tundo => %s, probe => probe, '
		'probe_found => probe_found, doubt => doubt,\n\t\tretry => retry, timeout => timeout, '
		'wait => coalesce(wait, true), answers => answers%s);\nEND ',
		coalesce(checks, ''), system, method, path_expression,
		concat(E',\n\t\tbody => ' || content,
			E',\n\t\tquery => ' || dataflows._api_members(ARRAY(SELECT f
				FROM unnest(fields) WITH ORDINALITY AS t (f, n)
				WHERE f ->> 'in' = 'query' ORDER BY n), encoding, repeats, NULL),
			E',\n\t\theaders => ' || dataflows._api_members(ARRAY(SELECT f
				FROM unnest(fields) WITH ORDINALITY AS t (f, n)
				WHERE f ->> 'in' = 'header' ORDER BY n), encoding, repeats, NULL)),
		coalesce('coalesce(undo, ' || undo || ')', 'undo'),
		coalesce(E',\n\t\toptions => ' || quote_literal(nullif(options, '{}')), ''));
END $$;
COMMENT ON FUNCTION dataflows._api_source(name, text, text, jsonb[], jsonb, text, boolean, text,
	text) IS 'Internal: the source of a made function, in PL/pgSQL';

CREATE FUNCTION dataflows._api_older(schema name, name text, types text[], names text[],
	defaults int) RETURNS SETOF text
	LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	other record;
BEGIN
	FOR other IN
		SELECT f.oid, f.proargnames, f.pronargdefaults, f.prorettype,
				ARRAY(SELECT format_type(u.t, NULL)
					FROM unnest(f.proargtypes) WITH ORDINALITY AS u (t, n) ORDER BY u.n) AS types,
				starts_with(f.prosrc, E'\n-- made by dataflows.api_functions()\n') AS made
			FROM pg_proc AS f JOIN pg_namespace AS s ON s.oid = f.pronamespace
			WHERE s.nspname = schema AND f.proname = name
			ORDER BY f.oid
	LOOP
		IF NOT other.made AND other.types = types THEN
			RAISE EXCEPTION USING ERRCODE = '42723', MESSAGE = format('function %s is there '
				'already, and was not made by api_functions()', other.oid::regprocedure),
				HINT = 'Rename it, take another schema, or leave it out by "operations".';
		END IF;
		CONTINUE WHEN NOT other.made OR other.types = types AND other.proargnames = names
			AND other.pronargdefaults <= defaults AND other.prorettype = 'jsonb'::regtype;
		RETURN NEXT format('DROP FUNCTION IF EXISTS %I.%I(%s);', schema, name,
			array_to_string(other.types, ', '));
	END LOOP;
END $$;
COMMENT ON FUNCTION dataflows._api_older(name, text, text[], text[], int) IS
	'Internal: the statements that drop made functions of this name with other arguments';

CREATE FUNCTION dataflows._api_statements(doc jsonb, system name, schema name, name text,
	path text, method text, reserved text[], place text) RETURNS SETOF text
	LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	item jsonb := dataflows._api_object(doc, doc -> 'paths' -> path, place || ', its path');
	operation jsonb := item -> lower(method);
	every jsonb[] := ARRAY(SELECT dataflows._api_parameters(doc, path, item, operation, place));
	body jsonb := dataflows._api_body(doc, method, operation, place);
	fields jsonb[];
	fn text := schema || '.' || name;
	has_more boolean;
	requested text;
	undo record;
	undo_note text := 'undo: none, unless one is given';
	arguments text[] := '{step text}';
BEGIN
	IF body IS NOT NULL THEN
		every := every || ARRAY(SELECT dataflows._api_properties(doc, body, place));
	END IF;
	fields := ARRAY(SELECT dataflows._api_fields(every, coalesce(body ->> 'encoding', 'none'),
		reserved));
	has_more := coalesce(NOT (body -> 'whole')::boolean, false) OR cardinality(fields) > 90;
	requested := dataflows._api_path(path, fields, place);
	SELECT NULL::text AS item, NULL::text AS field, NULL::text AS expression INTO undo;
	IF method = 'POST' THEN
		SELECT * INTO undo FROM dataflows._api_undo(doc, path, operation, fields, place);
		IF undo.expression IS NOT NULL THEN
			undo_note := format('undo: DELETE %s with %s of the response, unless another one, or '
				'''none'', is given', undo.item, undo.field);
		ELSIF undo.item IS NOT NULL THEN
			undo_note := format('undo: none, unless one is given: the description of the response '
				'does not show which field DELETE %s needs', undo.item);
		END IF;
	END IF;
	arguments := arguments || ARRAY(SELECT format('%I %s%s', f ->> 'arg', f ->> 'type',
			CASE WHEN (f -> 'required')::boolean THEN '' ELSE ' DEFAULT NULL' END)
		FROM unnest(fields) WITH ORDINALITY AS t (f, n) WHERE NOT (f -> 'overflow')::boolean
		ORDER BY n);
	arguments := arguments || CASE WHEN NOT has_more THEN '{}'::text[]
		-- the others may all be required, and then this one holds required ones as well
		ELSE '{more jsonb DEFAULT NULL}' END;
	-- one that names something of the call cannot be a default
	arguments := arguments || ('undo text DEFAULT ' || CASE WHEN strpos(path, '{') = 0
		THEN coalesce(undo.expression, 'NULL') ELSE 'NULL' END);
	arguments := arguments || '{probe text DEFAULT NULL,probe_found text DEFAULT NULL,
		doubt text DEFAULT NULL,retry jsonb DEFAULT NULL,timeout interval DEFAULT NULL,
		wait boolean DEFAULT true,answers text DEFAULT NULL}'::text[];
	RETURN QUERY SELECT dataflows._api_older(schema, name,
		ARRAY(SELECT split_part(a, ' ', 2) FROM unnest(arguments) WITH ORDINALITY AS t (a, n)
			ORDER BY n),
		ARRAY(SELECT trim('"' FROM split_part(a, ' ', 1))
			FROM unnest(arguments) WITH ORDINALITY AS t (a, n) ORDER BY n),
		(SELECT count(*)::int FROM unnest(arguments) AS t (a) WHERE a LIKE '% DEFAULT %'));
	RETURN NEXT format(E'CREATE %s FUNCTION %I.%I(%s)\n\tRETURNS jsonb LANGUAGE plpgsql VOLATILE\n'
		'\tSET search_path TO pg_catalog, pg_temp AS %L;', 'OR REPLACE', schema, name,
		array_to_string(arguments, ', '), dataflows._api_source(system, method, requested, fields,
			body, undo.expression, has_more, fn, method || ' ' || path));
	RETURN NEXT format('COMMENT ON FUNCTION %I.%I(%s) IS %L;', schema, name,
		(SELECT string_agg(split_part(a, ' ', 2), ', ' ORDER BY n)
			FROM unnest(arguments) WITH ORDINALITY AS t (a, n)),
		dataflows._api_comment(operation, method || ' ' || path, system, fields, every, undo_note,
			has_more, coalesce(operation #> '{servers,0,url}', item #> '{servers,0,url}')));
END $$;
COMMENT ON FUNCTION dataflows._api_statements(jsonb, name, name, text, text, text, text[], text)
	IS
	'Internal: the statements for one operation';

CREATE FUNCTION dataflows._api_operations(doc jsonb)
	RETURNS TABLE (path text, method text, place int, id text, base text, deprecated boolean,
		n bigint)
	LANGUAGE sql STABLE
	BEGIN ATOMIC
	SELECT o.*, row_number() OVER (PARTITION BY base
		ORDER BY deprecated, id IS DISTINCT FROM base, path COLLATE "C", place)
	FROM (SELECT p.key AS path, m.method, m.place,
			CASE WHEN jsonb_typeof(o.operation -> 'operationId') = 'string'
				THEN o.operation ->> 'operationId' END AS id,
			CASE WHEN jsonb_typeof(o.operation -> 'operationId') = 'string'
					AND o.operation ->> 'operationId' ~ '[A-Za-z]'
				THEN dataflows._api_name(o.operation ->> 'operationId')
				ELSE dataflows._api_name(m.method || ' ' || p.key) END AS base,
			coalesce(o.operation -> 'deprecated' = 'true', false) AS deprecated
		FROM jsonb_each(doc -> 'paths') AS p
			CROSS JOIN (VALUES (1, 'GET'), (2, 'HEAD'), (3, 'POST'), (4, 'PUT'), (5, 'PATCH'),
				(6, 'DELETE')) AS m (place, method)
			CROSS JOIN LATERAL (SELECT dataflows._api_expect(dataflows._api_object(doc, p.value,
				format('path "%s"', left(p.key, 200))) -> lower(m.method), 'object',
				format('operation %s %s', m.method, left(p.key, 200)))) AS o (operation)
		WHERE NOT starts_with(p.key, 'x-') AND o.operation IS NOT NULL) AS o;
	END;
COMMENT ON FUNCTION dataflows._api_operations(jsonb) IS
	'Internal: the operations of a description of an API, with the name that each asks for and its '
	'place among those that ask for the same';

CREATE FUNCTION dataflows.api_functions(system name, description jsonb, schema name,
	operations text[] DEFAULT NULL)
	RETURNS SETOF text
	LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb;
	operation record;
	taken text[] := '{}';
	-- names that the arguments of an operation must not have
	reserved text[] := '{step,more,undo,probe,probe_found,doubt,retry,timeout,wait,answers,found}'
		|| ARRAY(SELECT word FROM pg_get_keywords() WHERE catcode <> 'U');
	unknown text[] := operations;
	name text;
	n bigint;
BEGIN
	IF system IS NULL OR description IS NULL OR schema IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = format('argument "%s" of '
			'api_functions() is NULL', CASE WHEN system IS NULL THEN 'system'
			WHEN description IS NULL THEN 'description' ELSE 'schema' END),
			HINT = 'Give the name of a server, the description as jsonb, and the name of a schema.';
	END IF;
	PERFORM dataflows._api_expect(description, 'object', 'the description');
	IF coalesce(description ->> 'openapi', '') !~ '^3\.' THEN
		PERFORM dataflows._api_refuse('the description', 'is not one of OpenAPI 3',
			'Its field "openapi" begins with 3. One of Swagger 2 must be converted first.');
	END IF;
	IF description -> 'paths' IS NULL THEN
		PERFORM dataflows._api_refuse('the description', 'has no "paths"',
			'Give the whole description of the API.');
	END IF;
	PERFORM dataflows._api_expect(description -> 'paths', 'object', 'the description, "paths"');
	-- out of its row once, not at each look
	doc := description || '{}';
	FOR operation IN SELECT * FROM dataflows._api_operations(doc) AS o
		ORDER BY o.n > 1, o.path COLLATE "C", o.place
	LOOP
		-- names do not depend on which operations are wanted; one with a number yields
		name := operation.base;
		n := operation.n;
		WHILE n > 1 OR name = ANY (taken) LOOP
			n := greatest(n, 2);
			name := left(operation.base, 62 - length(n::text)) || '_' || n;
			EXIT WHEN name <> ALL (taken);
			n := n + 1;
		END LOOP;
		taken := taken || name;
		IF operations IS NULL THEN
			CONTINUE WHEN operation.deprecated;
		ELSE
			CONTINUE WHEN NOT coalesce(operation.id = ANY (operations), false)
				AND operation.method || ' ' || operation.path <> ALL (operations);
			unknown := array_remove(array_remove(unknown, operation.id),
				operation.method || ' ' || operation.path);
		END IF;
		RETURN QUERY SELECT dataflows._api_statements(doc, system, schema, name, operation.path,
			operation.method, reserved,
			format('operation %s %s', operation.method, operation.path));
	END LOOP;
	IF unknown <> '{}' THEN
		PERFORM dataflows._api_refuse('argument "operations" of api_functions()', format(
			'names "%s", which is not in the description', unknown[1]),
			'Give the "operationId", or the method and the path, such as ''POST /users''.');
	END IF;
END $$;
COMMENT ON FUNCTION dataflows.api_functions(name, jsonb, name, text[]) IS
'Makes statements from the description of an API: a function for each operation, which is a step '
'that sends its request. Run them by \gexec, or keep them in a file. Changes nothing itself.
system: the FOREIGN SERVER that the functions call. description: OpenAPI 3 (3.0 or 3.1), in one '
'piece. schema: of the functions. operations: those that are wanted, by operationId or as ''POST '
'/users''; default NULL: all that are not deprecated.
A row for each statement: CREATE FUNCTION (which replaces the one that was made before), COMMENT, '
'and before them DROP FUNCTION IF EXISTS if one of that name was made with other arguments. '
'Arguments: step, those of the operation (required ones first; NULL = not sent), more (further '
'fields of the body; null is sent), undo (default of a POST: the DELETE of what it made, if the '
'response shows its name), probe, probe_found, doubt, retry, timeout, wait, answers.
Errors: 22023 (the description cannot be used; the message says where), 22004 (an argument is '
'NULL), 42723 (there is another function of that name and arguments).';
