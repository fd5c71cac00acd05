/*
 * Rights in a workflow, given by its owner to other roles.  They belong to the workflow's
 * name.  What they mean is decided in C, in one place, for functions and views alike.
 */
CREATE TABLE dataflows.workflow_right (
	workflow text NOT NULL,
	role oid NOT NULL,
	role_name text NOT NULL,
	"right" text NOT NULL,
	granted_by text NOT NULL,
	granted_at timestamptz NOT NULL,
	PRIMARY KEY (workflow, role, role_name, "right")
);
COMMENT ON TABLE dataflows.workflow_right IS
	'One row per right that a role was given in a workflow; dumped with the workflows';
COMMENT ON COLUMN dataflows.workflow_right.workflow IS 'Name of the workflow';
COMMENT ON COLUMN dataflows.workflow_right.role IS
	'Role that has the right; 0 = every role, or one that was not there at the last adopt()';
COMMENT ON COLUMN dataflows.workflow_right.role_name IS
	'Name of that role; public = every role. While the database is held, oid and name must both '
	'match';
COMMENT ON COLUMN dataflows.workflow_right."right" IS
	'start, signal, signal:<event>, see, cancel or operate';
COMMENT ON COLUMN dataflows.workflow_right.granted_by IS 'Role that called allow()';
COMMENT ON COLUMN dataflows.workflow_right.granted_at IS 'When';
SELECT pg_catalog.pg_extension_config_dump('dataflows.workflow_right', '');

CREATE FUNCTION dataflows.allow(workflow text, role name, VARIADIC rights text[]) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_allow';
COMMENT ON FUNCTION dataflows.allow(text, name, text[]) IS
'Gives a role, and the roles that are members of it, rights in a workflow, whatever function '
'its versions have. Members of the owner have all rights without it; EXECUTE on the function of '
'the body gives none.
role: its name; public = every role. rights: start (start(), restart() of what it sees, '
'triggers, schedules, call()), signal or signal:<event> (signal(), links, triggers), see (its '
'runs in views, await() and restart()), cancel, operate (retry, resolve, rename_step, '
'accept_drift, undo, abandon, pause and resume). They stay when the workflow is dropped or '
'defined again, unless another role becomes its owner by that.
For members of the workflow''s owner. Errors: DF005 (unknown workflow), 42704 (no such role), '
'22023 (no such right), 42501 (not the owner''s), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.disallow(workflow text, role name, VARIADIC rights text[] DEFAULT '{}')
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_disallow';
COMMENT ON FUNCTION dataflows.disallow(text, name, text[]) IS
'Takes back what allow() gave to a role. A NOTICE says if it still has a right otherwise, by '
'another role or from public.
rights: as for allow(), signal with all signal:<event>; default all. For members of the '
'workflow''s owner. Errors: DF005 (unknown workflow), 22023 (no such right), 42501 (not the '
'owner''s), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.allow_author(role name) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_allow_author';
COMMENT ON FUNCTION dataflows.allow_author(name) IS
'Makes a role an author: grants it EXECUTE on define_workflow(), start_on_insert(), '
'signal_on_change() and act_on_insert(), so that it may define workflows and make triggers that '
'start and signal them.
role: its name; public = every role. For members of the extension''s owner and roles with the '
'grant option. Errors: 42704 (no such role), 42501 (a missing right), 25006 (read-only '
'transaction).';

CREATE FUNCTION dataflows.disallow_author(role name) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_disallow_author';
COMMENT ON FUNCTION dataflows.disallow_author(name) IS
'Takes back what allow_author() granted; workflows and triggers that the role made stay. A '
'NOTICE says if it still may define workflows, by another role or grant.
role, rights and errors: as for allow_author(), and 2BP01 (the role has granted it to others).';

CREATE VIEW dataflows.rights WITH (security_barrier) AS
	SELECT g.workflow, g.role_name AS role, g."right", g.granted_by, g.granted_at
	FROM dataflows.workflow_right g
	LEFT JOIN LATERAL (SELECT w.owner, w.owner_name FROM dataflows.workflow w
			WHERE w.name = g.workflow ORDER BY w.version DESC LIMIT 1) o ON true
	WHERE (g.role = 0 AND g.role_name = 'public')
		OR dataflows._sees(g.role, g.role_name, NULL::text) IS NOT NULL
		OR dataflows._sees(o.owner, o.owner_name, NULL::text) IS NOT NULL;
COMMENT ON VIEW dataflows.rights IS
	'Rights that roles were given in workflows: those of the workflows whose owner the current '
	'role is a member of, those that it has itself, and those of every role';
COMMENT ON COLUMN dataflows.rights.workflow IS 'Name of the workflow';
COMMENT ON COLUMN dataflows.rights.role IS 'Role that has the right; public = every role';
COMMENT ON COLUMN dataflows.rights."right" IS
	'start, signal, signal:<event>, see, cancel or operate (retry, resolve, rename_step, '
	'accept_drift, undo, abandon, pause, resume)';
COMMENT ON COLUMN dataflows.rights.granted_by IS 'Role that gave it';
COMMENT ON COLUMN dataflows.rights.granted_at IS 'When';
GRANT SELECT ON dataflows.rights TO PUBLIC;
