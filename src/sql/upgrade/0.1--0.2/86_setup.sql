/* what makes another node the same */
CREATE FUNCTION dataflows._setup(OUT part int, OUT place text, OUT line text)
	RETURNS SETOF record
	LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 100
BEGIN ATOMIC
	WITH newest AS MATERIALIZED (
		SELECT DISTINCT ON (w.name) w.name, w.version, w.function, w.owner_name, w.on_failure,
			w.retry, w.deadline, w.accept_notify, w.undo_on, w.notify, w.on_error, w.dropped
		FROM dataflows.workflow w
		ORDER BY w.name, w.version DESC),
	flows AS MATERIALIZED (SELECT n.* FROM newest n WHERE NOT n.dropped),
	versions AS MATERIALIZED (
		SELECT w.name, w.version, w.function, w.owner_name, w.on_failure, w.retry, w.deadline,
			w.accept_notify, w.undo_on, w.notify, w.on_error,
			COALESCE(f.rolname::text, w.owner_name) AS function_owner_name
		FROM dataflows.workflow w JOIN flows n ON n.name = w.name
			LEFT JOIN pg_catalog.pg_roles f ON f.oid = w.function_owner),
	bodies AS MATERIALIZED (
		SELECT DISTINCT p.oid, p.proowner, p.pronamespace
		FROM (SELECT n.function AS signature FROM flows n
			UNION SELECT n.on_failure FROM flows n
			UNION SELECT h.handler FROM dataflows.webhook h) AS s
			JOIN pg_catalog.pg_proc p ON p.oid = pg_catalog.to_regprocedure(s.signature)),
	servers AS MATERIALIZED (
		SELECT s.* FROM pg_catalog.pg_foreign_server s
			JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
		WHERE w.fdwname = 'dataflows'),
	uses AS MATERIALIZED (
		SELECT s.srvname, a.grantee, a.is_grantable
		FROM servers s CROSS JOIN LATERAL pg_catalog.aclexplode(s.srvacl) a
		WHERE a.privilege_type = 'USAGE' AND a.grantee <> s.srvowner),
	mappings AS MATERIALIZED (
		SELECT m.* FROM pg_catalog.pg_user_mappings m JOIN servers s ON s.oid = m.srvid),
	authors AS MATERIALIZED (
		SELECT DISTINCT a.grantee FROM pg_catalog.pg_proc p
			CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) a
		WHERE p.pronamespace = 'dataflows'::pg_catalog.regnamespace
			AND p.proname = 'define_workflow' AND a.grantee <> p.proowner),
	schemas AS MATERIALIZED (
		SELECT n.* FROM pg_catalog.pg_namespace n
		WHERE n.oid IN (SELECT b.pronamespace FROM bodies b) AND n.nspname <> 'public'),
	entries AS MATERIALIZED (
		SELECT n.nspname, a.grantee FROM schemas n
			CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a
		WHERE a.privilege_type = 'USAGE' AND a.grantee <> n.nspowner),
	roles AS MATERIALIZED (
		SELECT r.rolname, r.rolcanlogin FROM pg_catalog.pg_roles r
		WHERE NOT r.rolsuper AND r.rolname NOT LIKE 'pg\_%' AND (
			r.oid IN (SELECT b.proowner FROM bodies b UNION SELECT s.srvowner FROM servers s
				UNION SELECT u.grantee FROM uses u UNION SELECT m.umuser FROM mappings m
				UNION SELECT a.grantee FROM authors a UNION SELECT n.nspowner FROM schemas n
				UNION SELECT e.grantee FROM entries e)
			OR r.rolname::text IN (SELECT v.owner_name FROM versions v
				UNION SELECT v.function_owner_name FROM versions v
				UNION SELECT g.role_name FROM dataflows.workflow_right g
				UNION SELECT h.owner_name FROM dataflows.webhook h
				UNION SELECT c.owner_name FROM dataflows.schedule c)))
	SELECT 1, r.rolname::text, pg_catalog.format('DO %L;', pg_catalog.format(
			'BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %L) THEN '
			'CREATE ROLE %I%s; END IF; END', r.rolname, r.rolname,
			CASE WHEN r.rolcanlogin THEN ' LOGIN' ELSE '' END))
		FROM roles r
	UNION ALL
	SELECT 2, 'extension', 'CREATE EXTENSION IF NOT EXISTS dataflows;'
	UNION ALL
	/* before anything is replaced */
	SELECT 3, '', pg_catalog.format('DO %L;', pg_catalog.format(
			E'DECLARE\n'
			'stale text := (SELECT string_agg(DISTINCT w.name, '', '') FROM dataflows.workflow w '
			'JOIN jsonb_each_text(%L) v ON v.key = w.name WHERE w.version > v.value::int);\n'
			'BEGIN IF stale IS NOT NULL THEN\n'
			'  RAISE EXCEPTION ''this setup is stale: there is a newer version here of %%'', stale '
			'USING ERRCODE = ''55000'', HINT = ''Call export_setup() again, on the node with the '
			'newest versions.'';\n'
			'END IF; END',
			(SELECT pg_catalog.jsonb_object_agg(n.name, n.version) FROM flows n)))
	UNION ALL
	SELECT 4, n.nspname::text, pg_catalog.format(
			'CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION %I;', n.nspname,
			pg_catalog.pg_get_userbyid(n.nspowner))
		FROM schemas n
	UNION ALL
	SELECT 5, e.nspname || ' ' || CASE WHEN e.grantee = 0 THEN '' ELSE
			pg_catalog.pg_get_userbyid(e.grantee) END,
			pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %s;', e.nspname,
			CASE WHEN e.grantee = 0 THEN 'PUBLIC' ELSE
				pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(e.grantee)) END)
		FROM entries e
	UNION ALL
	SELECT 6, '', 'SET check_function_bodies = off;'
	UNION ALL
	SELECT 7, b.oid::pg_catalog.regprocedure::text,
			pg_catalog.rtrim(pg_catalog.pg_get_functiondef(b.oid), E'\n') || ';'
		FROM bodies b
	UNION ALL
	SELECT 8, b.oid::pg_catalog.regprocedure::text, pg_catalog.format(
			'ALTER FUNCTION %I.%I(%s) OWNER TO %I;', n.nspname, p.proname,
			pg_catalog.pg_get_function_identity_arguments(b.oid),
			pg_catalog.pg_get_userbyid(b.proowner))
		FROM bodies b JOIN pg_catalog.pg_proc p ON p.oid = b.oid
			JOIN pg_catalog.pg_namespace n ON n.oid = b.pronamespace
	UNION ALL
	SELECT 9, '', 'RESET check_function_bodies;'
	UNION ALL
	SELECT 10, CASE WHEN a.grantee = 0 THEN 'public' ELSE
			pg_catalog.pg_get_userbyid(a.grantee) END,
			pg_catalog.format('SELECT dataflows.allow_author(%L);',
			CASE WHEN a.grantee = 0 THEN 'public' ELSE
				pg_catalog.pg_get_userbyid(a.grantee) END)
		FROM authors a
	UNION ALL
	SELECT 11, s.srvname::text, pg_catalog.format(
			'CREATE SERVER IF NOT EXISTS %I FOREIGN DATA WRAPPER dataflows%s;', s.srvname,
			(SELECT ' OPTIONS (' || pg_catalog.string_agg(pg_catalog.format('%I %L',
				o.option_name, o.option_value), ', ' ORDER BY o.option_name COLLATE "C") || ')'
				FROM pg_catalog.pg_options_to_table(s.srvoptions) o
				WHERE o.option_name <> 'paused'))
		FROM servers s
	UNION ALL
	SELECT 12, s.srvname::text, pg_catalog.format('ALTER SERVER %I OWNER TO %I;', s.srvname,
			pg_catalog.pg_get_userbyid(s.srvowner))
		FROM servers s
	UNION ALL
	SELECT 13, u.srvname || ' ' || CASE WHEN u.grantee = 0 THEN '' ELSE
			pg_catalog.pg_get_userbyid(u.grantee) END,
			pg_catalog.format('GRANT USAGE ON FOREIGN SERVER %I TO %s%s;', u.srvname,
			CASE WHEN u.grantee = 0 THEN 'PUBLIC' ELSE
				pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(u.grantee)) END,
			CASE WHEN u.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
		FROM uses u
	UNION ALL
	SELECT 14, m.srvname || ' ' || m.usename, pg_catalog.format(
			'CREATE USER MAPPING IF NOT EXISTS FOR %s SERVER %I;',
			CASE WHEN m.umuser = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(m.usename) END,
			m.srvname)
		FROM mappings m
	UNION ALL
	/* values of options are secrets, their names are not; a quote in one ends no comment */
	SELECT 15, m.srvname || ' ' || m.usename, pg_catalog.format(
			'-- ALTER USER MAPPING FOR %s SERVER %I OPTIONS (ADD %s); -- fill in',
			CASE WHEN m.umuser = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(m.usename) END,
			m.srvname,
			(SELECT pg_catalog.string_agg(pg_catalog.format('%I ''...''', o.option_name),
				', ADD ' ORDER BY o.option_name COLLATE "C")
				FROM pg_catalog.pg_options_to_table(m.umoptions) o))
		FROM mappings m
		WHERE m.umoptions IS NOT NULL AND (m.srvname || m.usename) !~ E'[\n\r]'
	UNION ALL
	/* a DO per workflow: all its versions, or none; 0 is the fingerprint of no function */
	SELECT 16, n.name, pg_catalog.format('DO %L;', pg_catalog.format(
			E'BEGIN\n'
			'IF NOT EXISTS (SELECT FROM dataflows.workflow WHERE name = %1$L AND version = %2$s) '
			'THEN\n'
			'%3$s'
			'SET LOCAL ROLE %4$I;\n'
			'IF dataflows.define_workflow(%1$L, %5$L, %6$L, %7$L, %8$L, %9$L, %10$L, %11$L) '
			'<> %2$s THEN\n'
			'  RAISE EXCEPTION ''workflow %% is another one here'', %1$L '
			'USING ERRCODE = ''55000'', HINT = ''Compare it in the view dataflows.workflows '
			'of both nodes.'';\n'
			'END IF;\n'
			'RESET ROLE;\n'
			'END IF;\n'
			'END', n.name, n.version,
			(SELECT pg_catalog.string_agg(pg_catalog.format(
				E'INSERT INTO dataflows.workflow (name, version, function, function_owner, owner, '
				'owner_name, on_failure, retry, deadline, accept_notify, undo_on, notify, '
				'on_error, fingerprint) SELECT %L, %s, %L, f.oid, o.oid, o.rolname, %L, %L, %L, '
				'%L, %L, %L, %L, 0 FROM pg_roles f, pg_roles o WHERE f.rolname = %L AND '
				'o.rolname = %L ON CONFLICT DO NOTHING;\n', v.name, v.version,
				v.function, v.on_failure, v.retry,
				v.deadline, v.accept_notify, v.undo_on, v.notify, v.on_error,
				v.function_owner_name, v.owner_name), '' ORDER BY v.version)
				FROM versions v WHERE v.name = n.name AND v.version < n.version),
			n.owner_name, n.function, n.on_failure, n.retry, n.deadline, n.accept_notify,
			CASE WHEN n.on_error = 'stuck' THEN 'never' ELSE n.undo_on END, n.notify))
		FROM flows n
	UNION ALL
	SELECT 17, g.workflow || ' ' || g.role_name, pg_catalog.format(
			'SELECT dataflows.allow(%L, %L, VARIADIC %L::text[]);', g.workflow, g.role_name,
			pg_catalog.array_agg(g."right" ORDER BY g."right" COLLATE "C"))
		FROM dataflows.workflow_right g JOIN flows n ON n.name = g.workflow
		WHERE g.role_name = 'public' OR EXISTS (SELECT FROM pg_catalog.pg_roles r
			WHERE r.rolname::text = g.role_name)
		GROUP BY g.workflow, g.role_name
	UNION ALL
	/* a secret is looked for when something is delivered, so the mapping may be empty now */
	SELECT 18, h.path, pg_catalog.format(
			'INSERT INTO dataflows.webhook (path, starts, signals, event, key, verify, secret, '
			'filter, handler, preset, inserts, handler_owner, owner, owner_name, created_at) '
			'SELECT %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, '
			'(SELECT proowner FROM pg_proc WHERE oid = to_regprocedure(%L)), '
			'oid, rolname, now() FROM pg_roles WHERE rolname = %L ON CONFLICT (path) DO UPDATE SET '
			'starts = excluded.starts, signals = excluded.signals, event = excluded.event, '
			'key = excluded.key, verify = excluded.verify, secret = excluded.secret, '
			'filter = excluded.filter, handler = excluded.handler, preset = excluded.preset, '
			'inserts = excluded.inserts, '
			'handler_owner = excluded.handler_owner, owner = excluded.owner, '
			'owner_name = excluded.owner_name;', h.path, h.starts, h.signals, h.event, h.key,
			h.verify, h.secret, h.filter, h.handler, h.preset, h.inserts, h.handler, h.owner_name)
		FROM dataflows.webhook h
	UNION ALL
	SELECT 19, c.name, pg_catalog.format('DO %L;', pg_catalog.format(
			'BEGIN SET LOCAL ROLE %I; PERFORM dataflows.schedule(%L, %L, %L, %L); RESET ROLE; END',
			c.owner_name, c.name, c.cron, c.workflow, c.input))
		FROM dataflows.schedule c;
END;
REVOKE ALL ON FUNCTION dataflows._setup() FROM PUBLIC;

CREATE FUNCTION dataflows.export_setup() RETURNS SETOF text
	LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 100
BEGIN ATOMIC
	SELECT s.line FROM dataflows._setup() s ORDER BY s.part, s.place COLLATE "C";
END;
REVOKE ALL ON FUNCTION dataflows.export_setup() FROM PUBLIC;

CREATE FUNCTION dataflows.setup_fingerprint() RETURNS text
	LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
		COALESCE(pg_catalog.string_agg(s.line, E'\n' ORDER BY s.part, s.place COLLATE "C"), ''),
		'UTF8')), 'hex')
	FROM dataflows._setup() s
	WHERE s.part NOT IN (1, 15, 19);
END;
REVOKE ALL ON FUNCTION dataflows.setup_fingerprint() FROM PUBLIC;
