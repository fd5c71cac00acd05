/*
 * Schedules.  pg_cron fires them; nothing of it is named here, since it may be
 * missing, or come later.
 */
CREATE TABLE dataflows.schedule (
	name text NOT NULL PRIMARY KEY,
	cron text NOT NULL,
	workflow text NOT NULL,
	input jsonb NOT NULL,
	owner oid NOT NULL,
	owner_name text NOT NULL,
	scheduled_at timestamptz NOT NULL,
	last_at timestamptz,
	last_run uuid
);
COMMENT ON TABLE dataflows.schedule IS 'One row per schedule; pg_cron has a job for each';
COMMENT ON COLUMN dataflows.schedule.name IS
	'Name of the schedule; the job is called dataflows.<name>';
COMMENT ON COLUMN dataflows.schedule.cron IS 'When it fires, in the syntax of pg_cron';
COMMENT ON COLUMN dataflows.schedule.workflow IS 'Workflow that it starts';
COMMENT ON COLUMN dataflows.schedule.input IS 'Input of its runs';
COMMENT ON COLUMN dataflows.schedule.owner IS
	'Role that scheduled it; runs are started with its rights';
COMMENT ON COLUMN dataflows.schedule.owner_name IS
	'Name of that role; oid and name must both match';
COMMENT ON COLUMN dataflows.schedule.scheduled_at IS 'When schedule() was called last';
COMMENT ON COLUMN dataflows.schedule.last_at IS
	'Minute of the last firing (second, if it fires by seconds); a second firing in it starts no '
	'run';
COMMENT ON COLUMN dataflows.schedule.last_run IS 'Run that this firing started';
SELECT pg_catalog.pg_extension_config_dump('dataflows.schedule', '');

CREATE FUNCTION dataflows.schedule(name text, cron text, workflow text, input jsonb DEFAULT '{}')
	RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_schedule';
COMMENT ON FUNCTION dataflows.schedule(text, text, text, jsonb) IS
'Has pg_cron start a run of the newest version at these times, with the rights of the caller. A '
'schedule of that name is replaced.
name: 1 to 50 bytes. cron: as pg_cron reads it, in the time zone of its setting. input: what '
'each body is called with; default {}. Each firing starts one run, with the key <name>@<minute>, '
'even if pg_cron fires twice; one that was missed is not made up for.
For the right start. Errors: 55000 (pg_cron is missing, or in another database: the hint says '
'what to do there), DF005 (unknown workflow), DF006 (too large or long), 42501 (a missing right, '
'or the name is another role''s), 22023 (a bad argument), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.unschedule(name text) RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_unschedule';
COMMENT ON FUNCTION dataflows.unschedule(text) IS
'Ends a schedule; runs that it started go on. Returns false if there is none of that name.
For members of the role that scheduled it and of the workflow''s owner. Errors: 42501 (a '
'missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows._fire(name text) RETURNS uuid
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_fire';
COMMENT ON FUNCTION dataflows._fire(text) IS
	'Internal: called by pg_cron; starts the run of this minute, or returns the one that was '
	'started; NULL = a run has its key that the role that scheduled it may not see';
REVOKE ALL ON FUNCTION dataflows._fire(text) FROM PUBLIC;

CREATE FUNCTION dataflows._cron_job(name text, OUT active boolean, OUT last_status text,
	OUT last_message text) RETURNS record
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_cron_job';
COMMENT ON FUNCTION dataflows._cron_job(text) IS
	'Internal: what pg_cron has about a schedule; NULLs if the current role may not see it';

CREATE VIEW dataflows.schedules WITH (security_barrier) AS
	SELECT s.name, s.cron, s.workflow, s.owner_name AS owner, j.active, s.last_at, s.last_run,
		j.last_status, j.last_message,
		CASE WHEN dataflows._sees(s.workflow, NULL::int, s.owner_name) = 'all' THEN s.input END
			AS input,
		s.scheduled_at
	FROM dataflows.schedule s CROSS JOIN LATERAL dataflows._cron_job(s.name) j
	WHERE dataflows._sees(s.workflow, NULL::int, s.owner_name) IS NOT NULL;
COMMENT ON VIEW dataflows.schedules IS 'Schedules, with the state of their jobs in pg_cron';
COMMENT ON COLUMN dataflows.schedules.name IS
	'Name of the schedule; the job in pg_cron is called dataflows.<name>';
COMMENT ON COLUMN dataflows.schedules.cron IS 'When it fires, in the syntax of pg_cron';
COMMENT ON COLUMN dataflows.schedules.workflow IS 'Workflow that it starts';
COMMENT ON COLUMN dataflows.schedules.owner IS
	'Role that scheduled it; runs are started with its rights';
COMMENT ON COLUMN dataflows.schedules.active IS 'Whether pg_cron has an active job for it';
COMMENT ON COLUMN dataflows.schedules.last_at IS
	'Minute or second of the last firing that started a run';
COMMENT ON COLUMN dataflows.schedules.last_run IS 'The run that it started';
COMMENT ON COLUMN dataflows.schedules.last_status IS
	'Status of the last firing in pg_cron: succeeded, failed, ...; NULL = pg_cron has none';
COMMENT ON COLUMN dataflows.schedules.last_message IS
	'Message of the last firing in pg_cron, such as why it failed';
COMMENT ON COLUMN dataflows.schedules.input IS 'Input of the runs';
COMMENT ON COLUMN dataflows.schedules.scheduled_at IS 'When schedule() was called last';
GRANT SELECT ON dataflows.schedules TO PUBLIC;
