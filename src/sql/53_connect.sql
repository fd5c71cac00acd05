/*
 * Systems made by one call: for the functions connect() of the connectors, and for scripts of
 * one's own.
 */
CREATE FUNCTION dataflows._options(present text[], wanted jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(string_agg(format(CASE
			WHEN w.value IS NULL THEN 'DROP %1$I'
			WHEN present IS NULL THEN '%1$I %2$L'
			WHEN p.name IS NULL THEN 'ADD %1$I %2$L'
			ELSE 'SET %1$I %2$L' END, w.key, w.value), ', '), '')
	FROM jsonb_each_text(wanted) AS w(key, value)
	LEFT JOIN (SELECT split_part(o, '=', 1) AS name FROM unnest(present) AS o) AS p
		ON p.name = w.key
	WHERE w.value IS NOT NULL OR p.name IS NOT NULL
$$;
COMMENT ON FUNCTION dataflows._options(text[], jsonb) IS
	'Internal: what stands between the parentheses of OPTIONS (). present: the options that are '
	'there, NULL = the object is made. wanted: an object; null drops an option';

CREATE FUNCTION dataflows.connect_system(system name, options jsonb,
	credentials jsonb DEFAULT NULL)
	RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wrapper name;
	present text[];
	list text;
	code text;
	problem text;
	advice text;
BEGIN
	IF system IS NULL OR jsonb_typeof(options) IS DISTINCT FROM 'object'
		OR jsonb_typeof(coalesce(credentials, '{}')) <> 'object' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'a system needs a name, and its options and credentials are JSON objects',
			HINT = 'Call dataflows.connect_system(''crm'', '
				'''{"url": "https://crm.example.com"}'').';
	END IF;
	SELECT w.fdwname, coalesce(s.srvoptions, '{}') INTO wrapper, present
	FROM pg_foreign_server AS s JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
	WHERE s.srvname = system;
	IF wrapper <> 'dataflows' THEN
		RAISE duplicate_object USING
			MESSAGE = format('server "%s" is there, and is no system of dataflows', system),
			HINT = 'Give the system another name.';
	END IF;
	list := dataflows._options(present, options);
	IF wrapper IS NULL THEN
		EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER dataflows OPTIONS (%s)', system,
			list);
	ELSIF list <> '' THEN
		EXECUTE format('ALTER SERVER %I OPTIONS (%s)', system, list);
	END IF;
	IF credentials IS NULL THEN
		RETURN;
	END IF;
	present := NULL;
	SELECT coalesce(m.umoptions, '{}') INTO present FROM pg_user_mappings AS m
	WHERE m.srvname = system AND m.umuser = quote_ident(current_user)::regrole;
	list := dataflows._options(present, credentials);
	IF list = '' THEN
		RETURN;
	END IF;
	EXECUTE format('%s USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (%s)',
		CASE WHEN present IS NULL THEN 'CREATE' ELSE 'ALTER' END, system, list);
EXCEPTION WHEN OTHERS THEN
	-- again, without its context, which quotes the statement and so the secrets
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, problem = MESSAGE_TEXT,
		advice = PG_EXCEPTION_HINT;
	RAISE EXCEPTION USING ERRCODE = code, MESSAGE = problem, HINT = advice;
END
$$;
COMMENT ON FUNCTION dataflows.connect_system(name, jsonb, jsonb) IS
'Makes a system (a FOREIGN SERVER of the wrapper dataflows) and your USER MAPPING for it, or '
'brings their options up to date; others that are set stay. Grants nothing.
system: its name. options: an object of options of the SERVER; null drops one. credentials: '
'the same of the USER MAPPING of the current role; NULL: it is left alone.
For roles with USAGE on the wrapper, or the owner of the server. Errors: HV00D (an unknown '
'option), 22023 (a bad value, which is not quoted), 42710 (the server belongs to another '
'wrapper), 42501 (a missing right, or an option that only superusers may set).';

CREATE FUNCTION dataflows.verbatim(value jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE jsonb_typeof(value)
		WHEN 'string' THEN to_jsonb(replace(replace(value #>> '{}', '{', '{{'), '}', '}}'))
		WHEN 'array' THEN (
			SELECT coalesce(jsonb_agg(dataflows.verbatim(e.value) ORDER BY e.n), '[]')
			FROM jsonb_array_elements(value) WITH ORDINALITY AS e(value, n))
		WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(m.key, dataflows.verbatim(m.value)),
				'{}')
			FROM jsonb_each(value) AS m)
		ELSE value END
$$;
COMMENT ON FUNCTION dataflows.verbatim(jsonb) IS
	'A value that is to stand in a template as it is: the braces in its strings are doubled. NULL '
	'gives NULL. Errors: only the general ones';

CREATE FUNCTION dataflows._guard_connector(connector name) RETURNS void
	LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
			WHERE n.nspname = connector AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner)
		OR EXISTS (SELECT FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner
			WHERE n.nspname = connector AND NOT r.rolsuper)
		OR EXISTS (SELECT FROM pg_proc AS p WHERE p.pronamespace = connector::regnamespace) THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('schema "%s" is used already', connector),
			DETAIL = 'Others may create in it, or there are functions in it, which could be called '
				'instead of those of the extension.',
			HINT = 'Rename that schema, and create the extension again.';
	END IF;
END
$$;
COMMENT ON FUNCTION dataflows._guard_connector(name) IS
	'Internal, for the scripts of connectors: refuses a schema that others own, may create in or '
	'have functions in. Errors: 42501.';
REVOKE ALL ON FUNCTION dataflows._guard_connector(name) FROM PUBLIC;
