/* dataflows: the schema, concatenated from src/sql in name order. */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dataflows" to load this file. \quit

GRANT USAGE ON SCHEMA dataflows TO PUBLIC;
/*
 * The tables.  The engine alone writes workflow.., run and step; user sessions
 * insert (through our C functions, as the extension's owner) runs and inbox
 * rows and nothing else.  In run and step, what never changes comes first and
 * what changes comes last, so that an update logs only its tail.
 */

CREATE TABLE dataflows.installation (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	identity text NOT NULL,
	live boolean NOT NULL DEFAULT false,
	paused boolean NOT NULL DEFAULT false,
	link_key bytea NOT NULL DEFAULT pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) OPERATOR(pg_catalog.||) pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
);
COMMENT ON TABLE dataflows.installation IS 'One row, written by the first define_workflow(): which database this is';
COMMENT ON COLUMN dataflows.installation.one IS 'Always true: there is one row';
COMMENT ON COLUMN dataflows.installation.identity IS 'dataflows.identity or the system identifier, with the database oid; runs move only where it is the same';
COMMENT ON COLUMN dataflows.installation.live IS 'The durable mark that the engine is running; found at a start it means that the server crashed';
COMMENT ON COLUMN dataflows.installation.link_key IS 'What the links of event_url() are signed with: random, of this installation alone';
COMMENT ON COLUMN dataflows.installation.paused IS 'The whole database is held by pause()';

CREATE TABLE dataflows.workflow (
	name text NOT NULL,
	version int NOT NULL,
	function text NOT NULL,
	function_owner oid NOT NULL,
	owner oid NOT NULL,
	owner_name text NOT NULL,
	on_failure text,
	retry jsonb,
	deadline interval,
	accept_notify text NOT NULL DEFAULT 'run' CHECK (accept_notify IN ('none', 'run', 'key')),
	on_error text NOT NULL DEFAULT 'undo' CHECK (on_error IN ('undo', 'stuck')),
	paused boolean NOT NULL DEFAULT false,
	dropped boolean NOT NULL DEFAULT false,
	defined_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	PRIMARY KEY (name, version)
);
COMMENT ON TABLE dataflows.workflow IS 'One row per version of a workflow; a version never changes';
COMMENT ON COLUMN dataflows.workflow.name IS 'Name of the workflow';
COMMENT ON COLUMN dataflows.workflow.version IS 'Version, from 1';
COMMENT ON COLUMN dataflows.workflow.function IS 'Qualified signature of the body';
COMMENT ON COLUMN dataflows.workflow.function_owner IS 'Owner of the body when it was defined; if it differs at an entry, the run is stuck';
COMMENT ON COLUMN dataflows.workflow.owner IS 'Role that defined the workflow; its bodies run as this role';
COMMENT ON COLUMN dataflows.workflow.owner_name IS 'Name of that role; oid and name must both match';
COMMENT ON COLUMN dataflows.workflow.on_failure IS 'Qualified signature of the body that is run after a rollback, or NULL';
COMMENT ON COLUMN dataflows.workflow.retry IS 'Retry policy of its steps: {"max_attempts","initial","max","for"}';
COMMENT ON COLUMN dataflows.workflow.deadline IS 'How long a run may take before it fails';
COMMENT ON COLUMN dataflows.workflow.accept_notify IS 'Whether NOTIFY may signal its runs: none, run (by run id), key (also by key)';
COMMENT ON COLUMN dataflows.workflow.on_error IS 'What a failing run does: undo, or stuck';
COMMENT ON COLUMN dataflows.workflow.paused IS 'Held by pause(workflow)';
COMMENT ON COLUMN dataflows.workflow.defined_at IS 'When define_workflow() was called';
COMMENT ON COLUMN dataflows.workflow.dropped IS 'drop_workflow() was called; finished runs still refer to the version';

CREATE TABLE dataflows.run (
	-- what never changes after the start
	run uuid NOT NULL PRIMARY KEY,
	identity bigint NOT NULL,
	started_at timestamptz NOT NULL,
	version int NOT NULL,
	workflow text NOT NULL,
	key text,
	started_by text NOT NULL,
	traceparent text,
	restarted_from uuid,
	parent uuid,
	parent_n int,
	input jsonb NOT NULL,
	-- what the engine changes
	body_hash bigint,
	wake_at timestamptz,
	key_held boolean NOT NULL DEFAULT true,
	sql boolean NOT NULL DEFAULT false,
	state text NOT NULL DEFAULT 'queued',
	lease bigint,
	finished_at timestamptz,
	waiting_for text,
	entries int,
	body_retries int,
	drifted boolean,
	cause text,
	result jsonb,
	error jsonb,
	stuck jsonb,
	deadline timestamptz,
	round int,
	round_n int,
	pivot_n int
) WITH (fillfactor = 42, toast_tuple_target = 512,
	autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX run_due ON dataflows.run (workflow, sql, wake_at) WHERE wake_at IS NOT NULL;
CREATE UNIQUE INDEX run_key ON dataflows.run (workflow, key) WHERE key_held AND key IS NOT NULL;
CREATE INDEX run_parent ON dataflows.run (parent) WHERE parent IS NOT NULL;
/* for people, and for free: they hold what has given up its key, what waits without a time, and what is stuck */
CREATE INDEX run_key_free ON dataflows.run (workflow, key) WHERE NOT key_held AND key IS NOT NULL;
CREATE INDEX run_parked ON dataflows.run (workflow) WHERE wake_at IS NULL AND finished_at IS NULL;
CREATE INDEX run_stuck ON dataflows.run (run) WHERE stuck IS NOT NULL;
COMMENT ON TABLE dataflows.run IS 'One row per execution of a workflow';
COMMENT ON COLUMN dataflows.run.run IS 'UUIDv7 of the run';
COMMENT ON COLUMN dataflows.run.identity IS 'Hash of the installation identity that the run was made under; only runs of the present one move';
COMMENT ON COLUMN dataflows.run.started_at IS 'When start() was called';
COMMENT ON COLUMN dataflows.run.version IS 'Version of the workflow that the run keeps';
COMMENT ON COLUMN dataflows.run.workflow IS 'Name of the workflow';
COMMENT ON COLUMN dataflows.run.key IS 'Business key, unique among the runs that hold it';
COMMENT ON COLUMN dataflows.run.started_by IS 'Role that started the run';
COMMENT ON COLUMN dataflows.run.traceparent IS 'Trace that the run belongs to, as who started it said (W3C Trace Context); NULL = one of its own';
COMMENT ON COLUMN dataflows.run.restarted_from IS 'The run that this one was restarted from';
COMMENT ON COLUMN dataflows.run.parent IS 'The run that called this one';
COMMENT ON COLUMN dataflows.run.parent_n IS 'The step of the parent that called this one';
COMMENT ON COLUMN dataflows.run.input IS 'What the body is called with';
COMMENT ON COLUMN dataflows.run.key_held IS 'False once the key is free for another run';
COMMENT ON COLUMN dataflows.run.sql IS 'What is due next is SQL of a query step: a sql worker is to do it';
COMMENT ON COLUMN dataflows.run.state IS 'See the view state_machine';
COMMENT ON COLUMN dataflows.run.wake_at IS 'When the engine is to look at the run next; NULL = not before an event; a leased run keeps its old value';
COMMENT ON COLUMN dataflows.run.lease IS 'Nonce of the worker that holds the run in memory';
COMMENT ON COLUMN dataflows.run.finished_at IS 'When the run reached a terminal state';
COMMENT ON COLUMN dataflows.run.waiting_for IS 'Event or reason for which a run that does not move is waiting';
COMMENT ON COLUMN dataflows.run.entries IS 'Entries into the body without an exit, counted after a crash of the server or a worker';
COMMENT ON COLUMN dataflows.run.body_retries IS 'Transient errors of the body in a row';
COMMENT ON COLUMN dataflows.run.body_hash IS 'Fingerprint of the function at the first entry';
COMMENT ON COLUMN dataflows.run.drifted IS 'The function was replaced while the run was under way';
COMMENT ON COLUMN dataflows.run.cause IS 'Why the run rolled back: failed, cancelled or undo; NULL while it goes forward';
COMMENT ON COLUMN dataflows.run.result IS 'What the body returned';
COMMENT ON COLUMN dataflows.run.error IS 'Why the run failed or was cancelled: {"sqlstate","message",...}';
COMMENT ON COLUMN dataflows.run.round IS 'Which round continue_with() has begun; NULL = the first';
COMMENT ON COLUMN dataflows.run.round_n IS 'Last step of the rounds before';
COMMENT ON COLUMN dataflows.run.pivot_n IS 'Last point of no return in the rounds before';
COMMENT ON COLUMN dataflows.run.deadline IS 'Deadline that retry() or resolve() has given it anew; NULL = what its workflow says, from its start';
COMMENT ON COLUMN dataflows.run.stuck IS 'Why a person is needed: {"sqlstate","reason","remedy"}';

CREATE TABLE dataflows.step (
	-- the intent, written once
	run uuid NOT NULL,
	n int NOT NULL,
	base_hash int,
	started_at timestamptz NOT NULL,
	kind text NOT NULL,
	step text NOT NULL,
	system text,
	request text,
	headers jsonb,
	body text,
	options jsonb,
	-- the attempts: the first one is as good as part of the intent
	attempts int NOT NULL DEFAULT 0,
	renewals int NOT NULL DEFAULT 0,
	sent_at timestamptz,
	-- the outcome
	state text NOT NULL,
	wake_at timestamptz,
	finished_at timestamptz,
	status int,
	output jsonb,
	answer jsonb,
	error jsonb,
	undo text,
	undo_body text,
	undo_state text,
	undo_attempts int,
	undo_since timestamptz,
	undo_error jsonb,
	PRIMARY KEY (run, n)
) WITH (fillfactor = 36, toast_tuple_target = 512,
	autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX step_undo_failed ON dataflows.step (run) WHERE undo_state = 'undo_failed';
COMMENT ON TABLE dataflows.step IS 'One row per recorded effect or wait of a run';
COMMENT ON COLUMN dataflows.step.run IS 'The run';
COMMENT ON COLUMN dataflows.step.n IS 'Start order within the run, from 1';
COMMENT ON COLUMN dataflows.step.base_hash IS 'Hash of the system''s url when the intent was written';
COMMENT ON COLUMN dataflows.step.started_at IS 'When the intent was written';
COMMENT ON COLUMN dataflows.step.kind IS 'http, wait, sleep, undo, query, once, call, mail, pivot, alias or continue';
COMMENT ON COLUMN dataflows.step.step IS 'Name in the body; the n-th call with one name is name#n';
COMMENT ON COLUMN dataflows.step.system IS 'FOREIGN SERVER that is called';
COMMENT ON COLUMN dataflows.step.request IS 'METHOD /path as sent, or what else identifies the step';
COMMENT ON COLUMN dataflows.step.headers IS 'Headers given by the body; never a secret of the system''s';
COMMENT ON COLUMN dataflows.step.body IS 'The frozen bytes that are sent';
COMMENT ON COLUMN dataflows.step.options IS 'What the body asked for: undo, probe, doubt, accept, retry, timeout (ms), ...';
COMMENT ON COLUMN dataflows.step.state IS 'See the view state_machine';
COMMENT ON COLUMN dataflows.step.attempts IS 'Attempts begun';
COMMENT ON COLUMN dataflows.step.renewals IS 'How often retry() rendered the step anew; part of its idempotency key';
COMMENT ON COLUMN dataflows.step.sent_at IS 'When the last attempt was committed; NULL = with the intent';
COMMENT ON COLUMN dataflows.step.wake_at IS 'Next attempt, end of the wait or of the sleep';
COMMENT ON COLUMN dataflows.step.finished_at IS 'When the step ended';
COMMENT ON COLUMN dataflows.step.status IS 'HTTP status of the last answer, or code of the last reply to a mail';
COMMENT ON COLUMN dataflows.step.output IS 'What the step returned to the body';
COMMENT ON COLUMN dataflows.step.answer IS 'Headers of the answer but those of the transport, or who sent a signal and when';
COMMENT ON COLUMN dataflows.step.error IS 'Why it failed';
COMMENT ON COLUMN dataflows.step.undo IS 'METHOD /path that undoes the step, rendered when its outcome was recorded';
COMMENT ON COLUMN dataflows.step.undo_body IS 'Body of that request';
COMMENT ON COLUMN dataflows.step.undo_state IS 'NULL (none), due, sent, undone, gone or undo_failed';
COMMENT ON COLUMN dataflows.step.undo_attempts IS 'Attempts of the undo';
COMMENT ON COLUMN dataflows.step.undo_since IS 'When the undo was first tried';
COMMENT ON COLUMN dataflows.step.undo_error IS 'Why the undo failed';

CREATE TABLE dataflows.alias (
	workflow text NOT NULL,
	key text NOT NULL,
	run uuid NOT NULL,
	PRIMARY KEY (workflow, key)
);
CREATE INDEX alias_run ON dataflows.alias (run);
COMMENT ON TABLE dataflows.alias IS 'Further keys of runs; one whose run has ended is nobody''s, and is taken by the next that asks for it';
COMMENT ON COLUMN dataflows.alias.workflow IS 'Workflow of the run';
COMMENT ON COLUMN dataflows.alias.key IS 'The further key';
COMMENT ON COLUMN dataflows.alias.run IS 'The run that took it last';

CREATE TABLE dataflows.attempt (
	run uuid NOT NULL,
	n int NOT NULL,
	seq int NOT NULL,
	undo boolean NOT NULL,
	at timestamptz NOT NULL,
	took_ms double precision,
	status int,
	outcome text NOT NULL,
	error text,
	next_at timestamptz,
	PRIMARY KEY (run, n, undo, seq)
);
COMMENT ON TABLE dataflows.attempt IS 'Every failed try of a step or an undo';
COMMENT ON COLUMN dataflows.attempt.run IS 'The run';
COMMENT ON COLUMN dataflows.attempt.n IS 'The step';
COMMENT ON COLUMN dataflows.attempt.seq IS 'Number of the attempt, from 1';
COMMENT ON COLUMN dataflows.attempt.undo IS 'Whether it was an attempt to undo the step';
COMMENT ON COLUMN dataflows.attempt.at IS 'When it was sent';
COMMENT ON COLUMN dataflows.attempt.took_ms IS 'How long it took, milliseconds';
COMMENT ON COLUMN dataflows.attempt.status IS 'HTTP status, NULL if none came';
COMMENT ON COLUMN dataflows.attempt.outcome IS 'retry, failed or in_doubt';
COMMENT ON COLUMN dataflows.attempt.error IS 'What went wrong, without secrets';
COMMENT ON COLUMN dataflows.attempt.next_at IS 'When the next attempt follows, NULL = none';

CREATE TABLE dataflows.inbox (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	run uuid,
	workflow text NOT NULL,
	key text,
	kind text NOT NULL DEFAULT 'signal',
	event text,
	payload jsonb,
	note text,
	sent_by text NOT NULL,
	sent_pid int,
	sent_at timestamptz NOT NULL,
	expires_at timestamptz,
	state text NOT NULL DEFAULT 'new',
	consumed_by int,
	consumed_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX inbox_new ON dataflows.inbox (workflow, id) WHERE state = 'new';
CREATE INDEX inbox_run ON dataflows.inbox (run, id) WHERE run IS NOT NULL;
CREATE INDEX inbox_key ON dataflows.inbox (workflow, key, id) WHERE run IS NULL AND state <> 'done';
/* what is thrown away: signals that no run took, and what pause() left */
CREATE INDEX inbox_expires ON dataflows.inbox (expires_at) WHERE run IS NULL AND state = 'kept';
CREATE INDEX inbox_notes ON dataflows.inbox (consumed_at) WHERE run IS NULL AND state = 'done';
COMMENT ON TABLE dataflows.inbox IS 'What the world asks of runs: signals, cancel, retry; rows are inserted by sessions and read by the engine';
COMMENT ON COLUMN dataflows.inbox.id IS 'Arrival order';
COMMENT ON COLUMN dataflows.inbox.run IS 'The run it is for; NULL while it is known by key only';
COMMENT ON COLUMN dataflows.inbox.workflow IS 'Workflow of that run; empty: the whole database was paused or resumed';
COMMENT ON COLUMN dataflows.inbox.key IS 'Key of that run, where it was given';
COMMENT ON COLUMN dataflows.inbox.kind IS 'signal, cancel, retry, undo, abandon, resolve, or child: a run that this one called has ended';
COMMENT ON COLUMN dataflows.inbox.event IS 'Event of a signal; step of a resolve';
COMMENT ON COLUMN dataflows.inbox.payload IS 'Payload of a signal; what a child came to, until its parent has taken it over';
COMMENT ON COLUMN dataflows.inbox.note IS 'Reason that the sender gave';
COMMENT ON COLUMN dataflows.inbox.sent_by IS 'Role that sent it, or NOTIFY';
COMMENT ON COLUMN dataflows.inbox.sent_pid IS 'Process id of a NOTIFY''s sender';
COMMENT ON COLUMN dataflows.inbox.sent_at IS 'When it was sent';
COMMENT ON COLUMN dataflows.inbox.expires_at IS 'When a signal that found no run is dropped';
COMMENT ON COLUMN dataflows.inbox.state IS 'new (the engine has not seen it), kept (for a later wait), done';
COMMENT ON COLUMN dataflows.inbox.consumed_by IS 'Step that consumed the signal';
COMMENT ON COLUMN dataflows.inbox.consumed_at IS 'When it was consumed or done';
/*
 * Define and start.  define_workflow() is for those whom it is granted to; the
 * others are for all, since the functions look themselves who may.
 */
CREATE FUNCTION dataflows.define_workflow(
	name text, function text, on_failure text DEFAULT NULL, retry jsonb DEFAULT NULL,
	deadline interval DEFAULT NULL, accept_notify text DEFAULT 'run', on_error text DEFAULT 'undo')
	RETURNS int
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_define_workflow';
COMMENT ON FUNCTION dataflows.define_workflow(text, text, text, jsonb, interval, text, text) IS
'Makes a new version of a workflow and returns its number; runs keep the version that they were started with.
name: 1 to 200 bytes. function: name of a function (jsonb) RETURNS jsonb, or a signature. on_failure: the same, called with what happened after a rollback; default none.
retry: {"max_attempts","initial","max","for"}, durations as intervals or seconds; default what each system says. deadline: how long a run may take; default for ever.
accept_notify: what NOTIFY may signal: run (by run id; the default), key (also by key) or none. on_error: undo (the default) or stuck.
The caller becomes the owner, as whom the bodies run. Errors: 42P13 (function unfit), 42883 (no such function), 42501 (a missing right, or the name is another role''s), 22023 (a bad argument), DF007 (engine not loaded).';
REVOKE ALL ON FUNCTION dataflows.define_workflow(text, text, text, jsonb, interval, text, text) FROM PUBLIC;

CREATE FUNCTION dataflows.drop_workflow(name text) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_drop_workflow';
COMMENT ON FUNCTION dataflows.drop_workflow(text) IS
'Drops a workflow: no run can be started any more; what has ended stays to be looked at, and the name stays its owner''s.
For members of its owner. Errors: 55006 (it has live runs), 42501 (not the owner''s), DF005 (unknown).';

CREATE FUNCTION dataflows.start(workflow text, input jsonb DEFAULT '{}', key text DEFAULT NULL) RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_start';
COMMENT ON FUNCTION dataflows.start(text, jsonb, text) IS
'Starts a run of the newest version, in this transaction, and returns its id; if a run holds the same key, returns that one''s.
input: what the body is called with, at most dataflows.max_body bytes; default {}. key: business key, 1 to 1024 bytes, free again after rolled_back, cancelled or abandoned; default none.
For members of the workflow''s owner and roles that were granted EXECUTE on its function by name. Errors: DF005 (unknown workflow), DF006 (too large), 42501 (a missing right), 25006 (read-only transaction), 40001 (the run that holds the key is not visible to this snapshot).';

CREATE FUNCTION dataflows.restart(run uuid) RETURNS uuid
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_restart';
COMMENT ON FUNCTION dataflows.restart(uuid) IS
'Starts a new run of the newest version with the input of one that has ended, and its key if that is free; returns the new run''s id.
Errors: DF005 (unknown run or workflow), 55000 (the run has not ended), 42501 (a missing right; as for start()).';

CREATE FUNCTION dataflows.start_on_insert() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_start_on_insert';
COMMENT ON FUNCTION dataflows.start_on_insert() IS
'Trigger function start_on_insert(workflow [, key column]): starts a run for each inserted row, with the row as its input, in the inserting transaction.
AFTER INSERT FOR EACH ROW, or FOR EACH STATEMENT with REFERENCING NEW TABLE. The table''s owner must have the right to start; who inserts needs none. A row whose key is NULL starts a run without a key.
Errors: 39P01 (the trigger was made otherwise), 42703 (no such column), and those of start().';

CREATE FUNCTION dataflows.signal_on_change() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_signal_on_change';
COMMENT ON FUNCTION dataflows.signal_on_change() IS
'Trigger function signal_on_change(workflow, event, key column): each inserted or updated row is a signal, with the row as its payload, to the run of that key.
AFTER INSERT, UPDATE or both FOR EACH ROW (say in WHEN which rows), or after one of them FOR EACH STATEMENT with REFERENCING NEW TABLE. The table''s owner must have the right to signal. A row whose key is NULL signals nobody; a signal without a run is kept for dataflows.signal_ttl.
Errors: 39P01 (the trigger was made otherwise), 42703 (no such column), DF005 (unknown workflow), DF006 (too large), 42501 (a missing right).';
/* copies of a database */
CREATE FUNCTION dataflows.adopt() RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_adopt';
COMMENT ON FUNCTION dataflows.adopt() IS 'Says that this copy of the database is the one whose runs move from now on; returns how many runs it took over';
REVOKE ALL ON FUNCTION dataflows.adopt() FROM PUBLIC;
/*
 * What the world asks of runs.  All of these but await() and status() only
 * insert a row into the inbox; the functions look themselves who may.
 */
CREATE FUNCTION dataflows.signal(run uuid, event text, payload jsonb DEFAULT '{}') RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_signal';
COMMENT ON FUNCTION dataflows.signal(uuid, text, jsonb) IS
'Delivers an event to a run, durably, in this transaction; one that comes before the run waits for it is kept. Returns false if the run has ended.
event: the name in wait_for(), 1 to 200 bytes. payload: what wait_for() returns, at most dataflows.max_body bytes; default {}.
For members of the workflow''s owner and roles that were granted EXECUTE on its function by name. Errors: DF005 (unknown run), DF006 (too large), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.signal_by_key(workflow text, key text, event text, payload jsonb DEFAULT '{}') RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_signal_by_key';
COMMENT ON FUNCTION dataflows.signal_by_key(text, text, text, jsonb) IS
'Delivers an event to the run that holds a key. If there is none yet, the signal is kept for dataflows.signal_ttl and goes to the run that is started with that key. Returns false if that run has ended.
event, payload and rights: as for signal(). Errors: DF005 (unknown workflow), DF006 (too large), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.cancel(run uuid, reason text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_cancel';
COMMENT ON FUNCTION dataflows.cancel(uuid, text) IS
'Asks that a run be undone and end as cancelled; a stuck one, too. Returns false if it has ended or is rolling back already.
reason: recorded with who and when; default none. Rights: as for signal(). Errors: DF005 (unknown run), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.retry(run uuid, note text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_retry';
COMMENT ON FUNCTION dataflows.retry(uuid, text) IS
'Lets a stuck run go on where it is, with a fresh retry budget. Returns false if it is not stuck.
note: why; recorded with who and when; default none. For members of the workflow''s owner. Errors: DF005 (unknown run), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.resolve(run uuid, step text, outcome text, note text, output jsonb DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_resolve';
COMMENT ON FUNCTION dataflows.resolve(uuid, text, text, text, jsonb) IS
'A person settles a step that is in doubt, or an undo that failed. Returns false if there is nothing to settle in that way.
outcome: done (it was carried out; output is what it returned), not_done (it was not), skipped (go on without it) or undone (what it did was undone by hand). note: how you know; recorded with who and when. output: default none.
For members of the workflow''s owner. Errors: DF005 (unknown run or step), 22023 (no such outcome, no note), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.undo(run uuid, note text) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_undo';
COMMENT ON FUNCTION dataflows.undo(uuid, text) IS
'Asks that a completed run be undone, newest step first. Returns false if it is not completed.
note: why; recorded with who and when. For members of the workflow''s owner. Errors: DF005 (unknown run), 22023 (no note), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.abandon(run uuid, note text) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_abandon';
COMMENT ON FUNCTION dataflows.abandon(uuid, text) IS
'A person takes a stuck run off the engine''s hands: nothing more is done or undone, it ends as abandoned. Returns false if it is not stuck.
note: why; recorded with who and when. For members of the workflow''s owner. Errors: DF005 (unknown run), 22023 (no note), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.pause(workflow text DEFAULT NULL, note text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_pause';
COMMENT ON FUNCTION dataflows.pause(text, text) IS
'Holds the runs of a workflow, or of the whole database, where they are; what is in flight is recorded. Runs can still be started and signalled. Returns false if that was so already.
workflow: for members of its owner; default the whole database, for members of the extension''s owner. note: why; recorded with who and when; default none. Errors: DF005 (unknown workflow), 42501 (a missing right).';

CREATE FUNCTION dataflows.resume(workflow text DEFAULT NULL, note text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_resume';
COMMENT ON FUNCTION dataflows.resume(text, text) IS
'Lets the runs that pause() holds go on. Returns false if they were not held. A workflow that is held by itself stays so when the whole database is resumed.
workflow: default the whole database; rights and errors as for pause().';

CREATE FUNCTION dataflows.await(run uuid, timeout interval DEFAULT '30 s') RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_await';
COMMENT ON FUNCTION dataflows.await(uuid, interval) IS
'Blocks until a run stops moving and returns its state: a terminal one, stuck, or waiting (for an event); after the timeout the state that it has then.
timeout: NULL = for ever; default 30 s. The run must be committed: it cannot move before. For whoever may see the run. Errors: DF005 (unknown run), DF007 (engine not loaded), 42501 (a missing right), 55000 (started in this transaction), 0A000 (called by a workflow), 22023 (negative timeout).';

CREATE FUNCTION dataflows.status(
	OUT process text, OUT database text, OUT owner text, OUT pid int, OUT state text, OUT waits_for text,
	OUT reason text, OUT since timestamptz, OUT runs_held int, OUT in_flight int) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'dataflows_status';
COMMENT ON FUNCTION dataflows.status() IS
'Is the engine running in this database, per process and owner; what does each wait for; why not. The first row is the engine as a whole: running, not loaded, standby, not running, idle, held, paused or aside. An owner without a worker has a row that says why.';
/* deleting one person */
CREATE FUNCTION dataflows.forget(workflow text, key text) RETURNS bigint
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_forget';
COMMENT ON FUNCTION dataflows.forget(text, text) IS
'Erases what the ended runs of a key held: inputs, results, requests, answers, payloads, notes and texts of errors, also of runs restarted from them; returns how many runs. Signals that wait for the key are deleted.
The runs, names of steps and events, states, times and statuses stay; in the place of the key stands a digest of it; runs.error says who forgot it and when. It cannot be undone, nor can such a run be undone or restarted. The systems that were called are not told.
For members of the workflow''s owner. Errors: 55006 (a run of the key has not ended), DF005 (unknown workflow), 42501 (a missing right), 25006 (read-only transaction).';
/* paths with values in them */
CREATE FUNCTION dataflows.url(format text, VARIADIC args text[] DEFAULT '{}') RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'dataflows_url';
COMMENT ON FUNCTION dataflows.url(text, text[]) IS 'A path with each %s replaced by an argument, percent-encoded; %% is a percent sign';
/* systems are foreign servers, credentials are user mappings */
CREATE FUNCTION dataflows.fdw_validator(options text[], catalog oid) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'dataflows_fdw_validator';
COMMENT ON FUNCTION dataflows.fdw_validator(text[], oid) IS 'Internal: checks the options of systems and of their user mappings';
REVOKE ALL ON FUNCTION dataflows.fdw_validator(text[], oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER dataflows VALIDATOR dataflows.fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER dataflows IS 'Systems that workflows call; GRANT USAGE on it lets a role create systems';
/*
 * The steps, and what a body may know of its run.  All of them raise DF004
 * outside a workflow, so that everybody may be granted them.
 */

CREATE FUNCTION dataflows.http(step text, system name, method text, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo text DEFAULT NULL, undo_body jsonb DEFAULT NULL,
	probe text DEFAULT NULL, probe_found text DEFAULT NULL, probe_body jsonb DEFAULT NULL, doubt text DEFAULT 'fail',
	accept int[] DEFAULT NULL, until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_http';
COMMENT ON FUNCTION dataflows.http(text, name, text, text, jsonb, jsonb, jsonb, text, jsonb, text, text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean) IS
'Calls a system and returns the parsed body of its answer, recorded once. undo and probe are ''METHOD /path'' with {field} of the answer; doubt is fail, resend or accept; accept lists further statuses that are answers; until is a jsonpath predicate, asked every so often until until_timeout; retry is {"max_attempts","initial","max","for"}; timeout is per attempt; wait => false goes on at once. Raises DF001 if the step fails, DF003 if it is recorded otherwise, DF004 outside a workflow, 22023 for arguments that cannot be used';

CREATE FUNCTION dataflows.get(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo text DEFAULT NULL, undo_body jsonb DEFAULT NULL,
	probe text DEFAULT NULL, probe_found text DEFAULT NULL, probe_body jsonb DEFAULT NULL, doubt text DEFAULT 'fail',
	accept int[] DEFAULT NULL, until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_get';
COMMENT ON FUNCTION dataflows.get(text, name, text, jsonb, jsonb, jsonb, text, jsonb, text, text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean) IS
'The same as dataflows.http() with the method GET';

CREATE FUNCTION dataflows.post(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo text DEFAULT NULL, undo_body jsonb DEFAULT NULL,
	probe text DEFAULT NULL, probe_found text DEFAULT NULL, probe_body jsonb DEFAULT NULL, doubt text DEFAULT 'fail',
	accept int[] DEFAULT NULL, until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_post';
COMMENT ON FUNCTION dataflows.post(text, name, text, jsonb, jsonb, jsonb, text, jsonb, text, text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean) IS
'The same as dataflows.http() with the method POST';

CREATE FUNCTION dataflows.put(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo text DEFAULT NULL, undo_body jsonb DEFAULT NULL,
	probe text DEFAULT NULL, probe_found text DEFAULT NULL, probe_body jsonb DEFAULT NULL, doubt text DEFAULT 'fail',
	accept int[] DEFAULT NULL, until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_put';
COMMENT ON FUNCTION dataflows.put(text, name, text, jsonb, jsonb, jsonb, text, jsonb, text, text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean) IS
'The same as dataflows.http() with the method PUT';

CREATE FUNCTION dataflows.patch(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo text DEFAULT NULL, undo_body jsonb DEFAULT NULL,
	probe text DEFAULT NULL, probe_found text DEFAULT NULL, probe_body jsonb DEFAULT NULL, doubt text DEFAULT 'fail',
	accept int[] DEFAULT NULL, until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_patch';
COMMENT ON FUNCTION dataflows.patch(text, name, text, jsonb, jsonb, jsonb, text, jsonb, text, text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean) IS
'The same as dataflows.http() with the method PATCH';

CREATE FUNCTION dataflows.delete(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo text DEFAULT NULL, undo_body jsonb DEFAULT NULL,
	probe text DEFAULT NULL, probe_found text DEFAULT NULL, probe_body jsonb DEFAULT NULL, doubt text DEFAULT 'fail',
	accept int[] DEFAULT NULL, until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_delete';
COMMENT ON FUNCTION dataflows.delete(text, name, text, jsonb, jsonb, jsonb, text, jsonb, text, text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean) IS
'The same as dataflows.http() with the method DELETE; the statuses 404 and 410 are answers too unless accept says otherwise';

CREATE FUNCTION dataflows.send_mail(step text, system name, message jsonb)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_send_mail';
COMMENT ON FUNCTION dataflows.send_mail(text, name, jsonb) IS
'Sends a mail by a system whose url begins with smtp or smtps and returns {"message_id","reply"}, recorded once. message is {"from","to","cc","bcc","subject","text","html","headers","doubt"}: to, cc and bcc are an address or an array of them, text or html or both must be there, doubt is fail, resend or accept. Raises DF001 if it is refused or in doubt, DF003 if it is recorded otherwise, DF004 outside a workflow, 22023 for a message that cannot be sent';

CREATE FUNCTION dataflows.wait_for(event text, timeout interval DEFAULT NULL, until timestamptz DEFAULT NULL, by name DEFAULT NULL,
	required boolean DEFAULT false)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_wait_for';
COMMENT ON FUNCTION dataflows.wait_for(text, interval, timestamptz, name, boolean) IS
'Waits for an event without using a process and returns its payload ({} if it had none); NULL when timeout or until has passed, which is recorded. by: only signals of members of that role count, never NOTIFY. required: a timeout raises DF001. A signal that came before is consumed first, the oldest first';

CREATE FUNCTION dataflows.wait_any(events text[], timeout interval DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_wait_any';
COMMENT ON FUNCTION dataflows.wait_any(text[], interval) IS
'Waits for the first of several events (1 to 100 names) and returns {event, payload}; NULL when timeout has passed, which is recorded. The oldest signal of any of them counts, also one that came before; the others are kept. Recorded as the step "wait_any"; raises DF003 if it is recorded with other events';

CREATE FUNCTION dataflows.alias(key text)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_alias';
COMMENT ON FUNCTION dataflows.alias(text) IS
'A further key (1 to 1024 bytes) by which signals find this run until it has ended; also those that were sent by it before. Recorded as the step "alias". Raises DF001 if another live run of the workflow has it as its key or alias, DF003 if it is recorded with another key';

CREATE FUNCTION dataflows.continue_with(input jsonb)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_continue_with';
COMMENT ON FUNCTION dataflows.continue_with(jsonb) IS
'Leaves the body, waits for what it began, and goes on from the top with a new input: the next round of the same run, whose steps have their names to themselves. It never returns. Undos of earlier rounds stay due; key, aliases, signals and deadline are the run''s. input: at most dataflows.max_body. Raises 55000 in on_failure, 22004 for NULL, DF006';

CREATE FUNCTION dataflows.sleep(step text, duration interval)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_sleep';
COMMENT ON FUNCTION dataflows.sleep(text, interval) IS
'Goes on after the duration, counted from the first entry; no process is used meanwhile';

CREATE FUNCTION dataflows.sleep_until(step text, at timestamptz)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_sleep_until';
COMMENT ON FUNCTION dataflows.sleep_until(text, timestamptz) IS
'Goes on at that time; no process is used meanwhile';

CREATE FUNCTION dataflows.on_rollback(step text, system name, request text, body jsonb DEFAULT NULL)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_on_rollback';
COMMENT ON FUNCTION dataflows.on_rollback(text, name, text, jsonb) IS
'Registers a request (''METHOD /path'') that is sent if the run rolls back, in the place of this step''s undo';

CREATE FUNCTION dataflows.point_of_no_return(step text)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_point_of_no_return';
COMMENT ON FUNCTION dataflows.point_of_no_return(text) IS
'Steps before it are never undone: if the run fails later it goes stuck';

CREATE FUNCTION dataflows.response(step text)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_response';
COMMENT ON FUNCTION dataflows.response(text) IS
'{status, headers, body} of a step that has ended, also of a failed one; of an event {payload, sent_by, sent_at}; of a call {run, attached, state, body, error}. Headers of the transport alone (Date, Server, Connection, Content-Length, ...) are not recorded';

CREATE FUNCTION dataflows.wait_all(VARIADIC steps text[])
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_wait_all';
COMMENT ON FUNCTION dataflows.wait_all(text[]) IS
'Waits for all these steps, begun with wait => false, and returns {step: output}; raises DF001 with every failure in its detail';

CREATE FUNCTION dataflows.call(step text, workflow text, input jsonb DEFAULT '{}', key text DEFAULT NULL,
	wait boolean DEFAULT true)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_call';
COMMENT ON FUNCTION dataflows.call(text, text, jsonb, text, boolean) IS
'Starts a run of another workflow as a child of this one and returns its result; DF001 if it does not complete. With wait => false it goes on at once, see wait_all(). If this run rolls back, a child that is under way is cancelled, one that has completed is undone. A live or completed run that holds the key is waited for instead, but neither cancelled nor undone';

CREATE FUNCTION dataflows.run_id()
	RETURNS uuid LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_run_id';
COMMENT ON FUNCTION dataflows.run_id() IS
'The run of the body that calls it; the same at each entry';

CREATE FUNCTION dataflows.run_key()
	RETURNS text LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_run_key';
COMMENT ON FUNCTION dataflows.run_key() IS
'The key of the run of the body that calls it, NULL if it has none; the same at each entry';

CREATE FUNCTION dataflows.run_started_at()
	RETURNS timestamptz LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_run_started_at';
COMMENT ON FUNCTION dataflows.run_started_at() IS
'When the run was started; the same at each entry';

CREATE FUNCTION dataflows.query(step text, sql text, args jsonb DEFAULT NULL, undo text DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_query';
COMMENT ON FUNCTION dataflows.query(text, text, jsonb, text) IS
'Runs one SQL statement as the workflow''s owner, exactly once: its writes, its record and the next step''s intent commit together. $1, $2, ... are the elements of args, a JSON array. Returns the rows as a jsonb array of objects, [] if there are none. undo is SQL too, with the recorded result (jsonb) as $1. Transient errors are retried; any other error, and a statement that runs longer than dataflows.query_timeout, raises DF001';

CREATE FUNCTION dataflows.once(step text, sql text, args jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_once';
COMMENT ON FUNCTION dataflows.once(text, text, jsonb) IS
'A value that is looked up once and recorded: the first column of the first row of a read-only statement, NULL if there is none. At each later entry it is the same. $1, $2, ... are the elements of args, a JSON array. Errors of the SQL are raised as they are';
/*
 * The state machines, as the library has them.  The rows come out of the arrays
 * in C, so what is shown here is what is done.  Everybody may execute the
 * function, since a view calls functions as the role that reads it.
 */

CREATE FUNCTION dataflows._state_machine(
	OUT machine text,
	OUT from_state text,
	OUT event text,
	OUT to_state text,
	OUT comment text
) RETURNS SETOF record
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 50
	AS 'MODULE_PATHNAME', 'dataflows_state_machine';
COMMENT ON FUNCTION dataflows._state_machine() IS 'Internal: the rows of the view state_machine';

CREATE VIEW dataflows.state_machine AS
	SELECT machine, from_state, event, to_state, comment
	FROM dataflows._state_machine();
COMMENT ON VIEW dataflows.state_machine IS 'Every change of state that a run, a step or an undo may make; what is not listed cannot happen';
COMMENT ON COLUMN dataflows.state_machine.machine IS 'run, step or undo';
COMMENT ON COLUMN dataflows.state_machine.from_state IS 'State before';
COMMENT ON COLUMN dataflows.state_machine.event IS 'What happens; for an undo the name of the state that it leads to';
COMMENT ON COLUMN dataflows.state_machine.to_state IS 'State after';
COMMENT ON COLUMN dataflows.state_machine.comment IS 'When this happens';
GRANT SELECT ON dataflows.state_machine TO PUBLIC;
/*
 * The views.  Everybody may read them, and sees the runs of the owner roles that
 * he is a member of and the runs that he started; superusers see all, members
 * of pg_monitor all but what went in and out.  The barrier keeps a reader's
 * functions from rows that are not his; what compares run, workflow, key or
 * state is leakproof and goes down to the indexes all the same.
 */

CREATE FUNCTION dataflows._sees(owner oid, owner_name text, started_by text) RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE COST 2 AS 'MODULE_PATHNAME', 'dataflows_sees';
COMMENT ON FUNCTION dataflows._sees(oid, text, text) IS
'Internal: what the current role sees of a run: all, meta (no inputs, outputs, payloads) or NULL (nothing)';

CREATE FUNCTION dataflows._without_body(error jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE WHEN pg_catalog.jsonb_typeof(error) OPERATOR(pg_catalog.=) 'object'
		THEN (error OPERATOR(pg_catalog.#-) '{detail,body}'::text[]) OPERATOR(pg_catalog.#-) '{body}'::text[] END;
COMMENT ON FUNCTION dataflows._without_body(jsonb) IS 'Internal: an error as members of pg_monitor see it';

/* ---- workflows ------------------------------------------------------------------------ */

CREATE VIEW dataflows.workflows WITH (security_barrier) AS
	SELECT w.name, w.version, w.function, w.owner_name AS owner, w.paused,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, NULL) IS NOT NULL THEN COALESCE(l.n, 0) END AS live_runs,
		w.on_failure, w.retry, w.deadline, w.accept_notify, w.on_error, w.defined_at
	FROM dataflows.workflow w
	LEFT JOIN (SELECT r.workflow, r.version, pg_catalog.count(*) AS n
			FROM dataflows.run r WHERE r.finished_at IS NULL GROUP BY r.workflow, r.version) l
		ON l.workflow = w.name AND l.version = w.version
	WHERE NOT w.dropped;
COMMENT ON VIEW dataflows.workflows IS 'The workflows that are defined, each version; everybody sees them';
COMMENT ON COLUMN dataflows.workflows.name IS 'Name';
COMMENT ON COLUMN dataflows.workflows.version IS 'Version; new runs take the newest';
COMMENT ON COLUMN dataflows.workflows.function IS 'Function that is the body';
COMMENT ON COLUMN dataflows.workflows.owner IS 'Role that defined it, as which its bodies run';
COMMENT ON COLUMN dataflows.workflows.paused IS 'Held by pause(workflow)';
COMMENT ON COLUMN dataflows.workflows.live_runs IS 'Runs of this version that have not ended; NULL for who may not see them';
COMMENT ON COLUMN dataflows.workflows.on_failure IS 'Function that is called after a rollback';
COMMENT ON COLUMN dataflows.workflows.retry IS 'Retry policy of its steps';
COMMENT ON COLUMN dataflows.workflows.deadline IS 'How long a run may take';
COMMENT ON COLUMN dataflows.workflows.accept_notify IS 'What NOTIFY may signal: none, run or key';
COMMENT ON COLUMN dataflows.workflows.on_error IS 'What a failing run does: undo, or stuck';
COMMENT ON COLUMN dataflows.workflows.defined_at IS 'When define_workflow() was called';

/* ---- runs ------------------------------------------------------------------------------- */

/* the condition on key_held is always true: it lets both partial indexes on the key be used */
CREATE VIEW dataflows.runs WITH (security_barrier) AS
	SELECT r.run, r.workflow, r.version, r.key, w.owner_name AS owner, r.state,
		CASE WHEN r.finished_at IS NULL THEN (
			SELECT s.step FROM dataflows.step s WHERE s.run = r.run
			ORDER BY (s.state IN ('pending', 'sent', 'waiting') OR (s.state = 'in_doubt' AND s.finished_at IS NULL)
				OR COALESCE(s.undo_state IN ('due', 'sent'), false)) DESC, s.n DESC LIMIT 1) END AS step,
		r.waiting_for,
		CASE WHEN r.lease IS NULL THEN r.wake_at END AS wake_at,
		r.started_by, r.started_at, r.finished_at,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, r.started_by) = 'all' THEN r.input END AS input,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, r.started_by) = 'all' THEN r.result END AS result,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, r.started_by) = 'all' THEN r.error
			ELSE dataflows._without_body(r.error) END AS error,
		r.stuck, r.cause, COALESCE(r.drifted, false) AS drifted, r.parent, r.restarted_from,
		COALESCE(r.deadline, r.started_at + w.deadline) AS deadline, COALESCE(r.round, 1) AS round, r.traceparent
	FROM dataflows.run r JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(w.owner, w.owner_name, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);
COMMENT ON VIEW dataflows.runs IS 'Runs: where each is, what it waits for, how it ended';
COMMENT ON COLUMN dataflows.runs.run IS 'Id of the run';
COMMENT ON COLUMN dataflows.runs.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.runs.version IS 'The version that it was started with and keeps';
COMMENT ON COLUMN dataflows.runs.key IS 'Its business key';
COMMENT ON COLUMN dataflows.runs.owner IS 'Role as which its body runs';
COMMENT ON COLUMN dataflows.runs.state IS 'queued, running, waiting, rolling_back, stuck, completed, rolled_back, cancelled or abandoned';
COMMENT ON COLUMN dataflows.runs.step IS 'The step that it is at; NULL once it has ended';
COMMENT ON COLUMN dataflows.runs.waiting_for IS 'The event, or what else it waits for';
COMMENT ON COLUMN dataflows.runs.wake_at IS 'When it goes on by itself; NULL = not before an event, or a worker has it';
COMMENT ON COLUMN dataflows.runs.started_by IS 'Role that started it';
COMMENT ON COLUMN dataflows.runs.started_at IS 'When start() was called';
COMMENT ON COLUMN dataflows.runs.finished_at IS 'When it ended';
COMMENT ON COLUMN dataflows.runs.input IS 'What the body is called with';
COMMENT ON COLUMN dataflows.runs.result IS 'What the body returned';
COMMENT ON COLUMN dataflows.runs.error IS 'Why it failed or was cancelled: {"sqlstate","message","detail",...}';
COMMENT ON COLUMN dataflows.runs.stuck IS 'Why a person is needed: {"sqlstate","reason","remedy"}';
COMMENT ON COLUMN dataflows.runs.cause IS 'Why it rolls or rolled back: failed, cancelled or undo';
COMMENT ON COLUMN dataflows.runs.drifted IS 'The function was replaced while the run was under way';
COMMENT ON COLUMN dataflows.runs.parent IS 'The run that called it';
COMMENT ON COLUMN dataflows.runs.restarted_from IS 'The run that it was restarted from';
COMMENT ON COLUMN dataflows.runs.round IS 'Which round of continue_with() it is in, from 1';
COMMENT ON COLUMN dataflows.runs.deadline IS 'When it fails if it has not ended; NULL = never';
COMMENT ON COLUMN dataflows.runs.traceparent IS 'Trace that it belongs to, as who started it said; NULL = one of its own';

/* ---- steps ------------------------------------------------------------------------------- */

CREATE VIEW dataflows.steps WITH (security_barrier) AS
	SELECT s.run, s.n, s.step, s.kind, s.system, s.state, s.attempts, s.request, s.status,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, r.started_by) = 'all' THEN s.output END AS output,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, r.started_by) = 'all' THEN s.error
			ELSE dataflows._without_body(s.error) END AS error,
		s.undo, COALESCE(s.undo_state, 'none') AS undo_state,
		CASE WHEN s.system IS NOT NULL THEN pg_catalog.concat(s.run, '/', s.n,
			CASE WHEN s.renewals > 0 THEN pg_catalog.concat('/r', s.renewals) END) END AS idempotency_key,
		s.started_at, s.finished_at,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, r.started_by) = 'all' THEN s.body END AS body,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, r.started_by) = 'all' THEN s.undo_body END AS undo_body,
		COALESCE(s.sent_at, CASE WHEN s.attempts > 0 THEN s.started_at END) AS sent_at, s.wake_at, COALESCE(s.undo_attempts, 0) AS undo_attempts, s.undo_since,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, r.started_by) = 'all' THEN s.undo_error
			ELSE dataflows._without_body(s.undo_error) END AS undo_error,
		r.workflow, r.key,
		CASE WHEN s.kind = 'call' THEN (s.answer OPERATOR(pg_catalog.->>) 'run')::pg_catalog.uuid END AS child,
		CASE WHEN r.round IS NULL THEN 1 WHEN s.n > r.round_n THEN r.round ELSE 1 + COALESCE((
			SELECT (c.options OPERATOR(pg_catalog.->>) 'round')::int FROM dataflows.step c
			WHERE c.run = s.run AND c.n < s.n AND c.kind = 'continue' ORDER BY c.n DESC LIMIT 1), 0) END AS round
	FROM dataflows.step s JOIN dataflows.run r ON r.run = s.run
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(w.owner, w.owner_name, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);
COMMENT ON VIEW dataflows.steps IS 'Steps: each recorded effect or wait of a run';
COMMENT ON COLUMN dataflows.steps.run IS 'The run';
COMMENT ON COLUMN dataflows.steps.n IS 'Start order, from 1';
COMMENT ON COLUMN dataflows.steps.step IS 'Name in the body; the n-th call with one name is name#n';
COMMENT ON COLUMN dataflows.steps.kind IS 'http, wait, sleep, undo, query, once, call, mail, pivot, alias or continue';
COMMENT ON COLUMN dataflows.steps.system IS 'System that is called';
COMMENT ON COLUMN dataflows.steps.state IS 'pending, sent, waiting, in_doubt, done or failed';
COMMENT ON COLUMN dataflows.steps.attempts IS 'Attempts begun';
COMMENT ON COLUMN dataflows.steps.request IS 'METHOD /path as sent, or what else identifies the step';
COMMENT ON COLUMN dataflows.steps.status IS 'HTTP status of the last answer, or code of the last reply to a mail';
COMMENT ON COLUMN dataflows.steps.output IS 'What the body got';
COMMENT ON COLUMN dataflows.steps.error IS 'Why it failed, or who resolved it';
COMMENT ON COLUMN dataflows.steps.undo IS 'Request that undoes it';
COMMENT ON COLUMN dataflows.steps.undo_state IS 'none, due, sent, undone, gone or undo_failed';
COMMENT ON COLUMN dataflows.steps.idempotency_key IS 'Key that its requests carry';
COMMENT ON COLUMN dataflows.steps.started_at IS 'When the intent was recorded';
COMMENT ON COLUMN dataflows.steps.finished_at IS 'When it ended';
COMMENT ON COLUMN dataflows.steps.body IS 'The bytes that are sent';
COMMENT ON COLUMN dataflows.steps.undo_body IS 'Body of the undo';
COMMENT ON COLUMN dataflows.steps.sent_at IS 'When the last attempt was recorded';
COMMENT ON COLUMN dataflows.steps.wake_at IS 'Next attempt, end of the wait or of the sleep';
COMMENT ON COLUMN dataflows.steps.undo_attempts IS 'Attempts of the undo';
COMMENT ON COLUMN dataflows.steps.undo_since IS 'When the undo was first tried';
COMMENT ON COLUMN dataflows.steps.undo_error IS 'Why the undo failed';
COMMENT ON COLUMN dataflows.steps.workflow IS 'Workflow of the run';
COMMENT ON COLUMN dataflows.steps.key IS 'Key of the run';
COMMENT ON COLUMN dataflows.steps.round IS 'Round of continue_with() that it belongs to, from 1; names begin anew in each';
COMMENT ON COLUMN dataflows.steps.child IS 'Run that the step called, or that held its key; NULL = none yet';

/* ---- attempts ------------------------------------------------------------------------------ */

CREATE VIEW dataflows.attempts WITH (security_barrier) AS
	SELECT a.run, a.n, s.step, a.seq AS attempt, a.undo, a.at, a.took_ms,
		CASE WHEN a.undo THEN s.undo ELSE s.request END AS request,
		a.status, a.outcome, a.error, a.next_at, s.system, r.workflow, r.key
	FROM dataflows.attempt a JOIN dataflows.step s ON s.run = a.run AND s.n = a.n
		JOIN dataflows.run r ON r.run = a.run
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(w.owner, w.owner_name, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);
COMMENT ON VIEW dataflows.attempts IS 'Every failed try of a step or of an undo';
COMMENT ON COLUMN dataflows.attempts.run IS 'The run';
COMMENT ON COLUMN dataflows.attempts.n IS 'Number of the step';
COMMENT ON COLUMN dataflows.attempts.step IS 'Its name';
COMMENT ON COLUMN dataflows.attempts.attempt IS 'Number of the attempt, from 1';
COMMENT ON COLUMN dataflows.attempts.undo IS 'Whether the step was being undone';
COMMENT ON COLUMN dataflows.attempts.at IS 'When it was sent';
COMMENT ON COLUMN dataflows.attempts.took_ms IS 'How long it took, milliseconds';
COMMENT ON COLUMN dataflows.attempts.request IS 'What was sent';
COMMENT ON COLUMN dataflows.attempts.status IS 'HTTP status; NULL = no answer';
COMMENT ON COLUMN dataflows.attempts.outcome IS 'retry, failed or in_doubt';
COMMENT ON COLUMN dataflows.attempts.error IS 'Why it failed';
COMMENT ON COLUMN dataflows.attempts.next_at IS 'When the next one follows; NULL = none';
COMMENT ON COLUMN dataflows.attempts.system IS 'System that was called';
COMMENT ON COLUMN dataflows.attempts.workflow IS 'Workflow of the run';
COMMENT ON COLUMN dataflows.attempts.key IS 'Key of the run';

/* ---- signals, requests ------------------------------------------------------------------------ */

CREATE VIEW dataflows.signals WITH (security_barrier) AS
	SELECT i.sent_by, i.sent_at, i.event,
		(SELECT s.step FROM dataflows.step s WHERE s.run = i.run AND s.n = i.consumed_by) AS consumed_by,
		i.run, i.workflow, i.key,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, r.started_by) = 'all' THEN i.payload END AS payload,
		i.state, i.consumed_at, i.expires_at, i.sent_pid, i.id
	FROM dataflows.inbox i LEFT JOIN dataflows.run r ON r.run = i.run
		JOIN dataflows.workflow w ON w.name = i.workflow AND w.version = COALESCE(r.version,
			(SELECT pg_catalog.max(v.version) FROM dataflows.workflow v WHERE v.name = i.workflow))
	WHERE i.kind = 'signal' AND dataflows._sees(w.owner, w.owner_name, r.started_by) IS NOT NULL;
COMMENT ON VIEW dataflows.signals IS 'Signals: each delivery of an event, who sent it and which step got it';
COMMENT ON COLUMN dataflows.signals.sent_by IS 'Role that sent it, or NOTIFY';
COMMENT ON COLUMN dataflows.signals.sent_at IS 'When';
COMMENT ON COLUMN dataflows.signals.event IS 'The event';
COMMENT ON COLUMN dataflows.signals.consumed_by IS 'Step that got it; NULL = none yet';
COMMENT ON COLUMN dataflows.signals.run IS 'The run; NULL = none with that key yet';
COMMENT ON COLUMN dataflows.signals.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.signals.key IS 'Its key';
COMMENT ON COLUMN dataflows.signals.payload IS 'What wait_for() returns';
COMMENT ON COLUMN dataflows.signals.state IS 'new (the engine has not seen it), kept (for a later wait) or done';
COMMENT ON COLUMN dataflows.signals.consumed_at IS 'When it was consumed';
COMMENT ON COLUMN dataflows.signals.expires_at IS 'When it is dropped if no run comes';
COMMENT ON COLUMN dataflows.signals.sent_pid IS 'Process of a NOTIFY''s sender';
COMMENT ON COLUMN dataflows.signals.id IS 'Arrival order';

CREATE VIEW dataflows.requests WITH (security_barrier) AS
	SELECT i.sent_by, i.sent_at, i.kind AS request, i.run, NULLIF(i.workflow, '') AS workflow, i.key, i.event AS step,
		i.payload OPERATOR(pg_catalog.->>) 'outcome' AS outcome, i.note, i.state, i.consumed_at, i.id
	FROM dataflows.inbox i LEFT JOIN dataflows.run r ON r.run = i.run
		LEFT JOIN dataflows.workflow w ON w.name = i.workflow AND w.version = COALESCE(r.version,
			(SELECT pg_catalog.max(v.version) FROM dataflows.workflow v WHERE v.name = i.workflow))
	WHERE i.kind NOT IN ('signal', 'child') AND (r.run IS NOT NULL OR i.run IS NULL)
		AND (i.workflow = '' OR dataflows._sees(w.owner, w.owner_name, r.started_by) IS NOT NULL);
COMMENT ON VIEW dataflows.requests IS 'What people, or parents that roll back, asked: cancel, retry, resolve, undo, abandon of runs, pause and resume of workflows or (workflow NULL) of the database; who, when and why';
COMMENT ON COLUMN dataflows.requests.sent_by IS 'Role that asked';
COMMENT ON COLUMN dataflows.requests.sent_at IS 'When';
COMMENT ON COLUMN dataflows.requests.request IS 'cancel, retry, resolve, undo, abandon, pause or resume';
COMMENT ON COLUMN dataflows.requests.run IS 'The run';
COMMENT ON COLUMN dataflows.requests.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.requests.key IS 'Its key';
COMMENT ON COLUMN dataflows.requests.step IS 'Step of a resolve';
COMMENT ON COLUMN dataflows.requests.outcome IS 'Outcome of a resolve';
COMMENT ON COLUMN dataflows.requests.note IS 'Why';
COMMENT ON COLUMN dataflows.requests.state IS 'new (the engine has not seen it) or done';
COMMENT ON COLUMN dataflows.requests.consumed_at IS 'When the engine acted on it';
COMMENT ON COLUMN dataflows.requests.id IS 'Arrival order';

/* ---- what needs a person ------------------------------------------------------------------------ */

CREATE VIEW dataflows.pending_undo WITH (security_barrier) AS
	WITH pending AS (
		SELECT s.run, s.n FROM dataflows.step s WHERE s.undo_state = 'undo_failed'
		UNION ALL
		SELECT s.run, s.n FROM dataflows.run r JOIN dataflows.step s ON s.run = r.run
		WHERE r.stuck IS NOT NULL AND s.state = 'in_doubt'
			AND COALESCE(s.undo_state, 'none') NOT IN ('undo_failed', 'undone', 'gone'))
	SELECT s.run, r.workflow, r.key, s.step, s.system, s.request, s.state,
		COALESCE(s.undo, s.options OPERATOR(pg_catalog.->>) 'undo') AS undo,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, r.started_by) = 'all' THEN s.undo_body END AS undo_body,
		COALESCE(s.undo_error OPERATOR(pg_catalog.->>) 'message', s.error OPERATOR(pg_catalog.->>) 'message',
			'it may have been carried out, and no full answer came') AS why,
		pg_catalog.concat_ws(': ', COALESCE('status ' OPERATOR(pg_catalog.||) NULLIF(s.status, 0), 'no status'),
			s.error OPERATOR(pg_catalog.->>) 'message') AS answered,
		s.error OPERATOR(pg_catalog.->>) 'probe' AS probe,
		COALESCE(s.undo_since, s.sent_at, s.started_at) AS since,
		CASE WHEN s.system IS NOT NULL THEN pg_catalog.concat(s.run, '/', s.n,
			CASE WHEN s.renewals > 0 THEN pg_catalog.concat('/r', s.renewals) END) END AS idempotency_key,
		CASE
			WHEN s.undo_state = 'undo_failed' AND s.error OPERATOR(pg_catalog.->>) 'maybe_twice' = 'true'
			THEN pg_catalog.format('Look in the system for a second record with the same data and delete it, then: SELECT dataflows.resolve(%L, %L, ''undone'', ''who looked'');', s.run, named.step)
			WHEN s.undo_state = 'undo_failed' AND (s.undo IS NOT NULL OR s.system IS NULL)
			THEN pg_catalog.format('Undo it by hand, then: SELECT dataflows.resolve(%L, %L, ''undone'', ''how''); or mend the cause and have it tried again: SELECT dataflows.retry(%L);', s.run, named.step, s.run)
			WHEN s.undo_state = 'undo_failed' AND s.state = 'in_doubt'
			THEN pg_catalog.format('Look in the system for the request or its key. If it is there, say so with the record, and it is undone: SELECT dataflows.resolve(%L, %L, ''done'', ''who saw it'', ''{"id": "..."}''); If it is not: SELECT dataflows.resolve(%L, %L, ''not_done'', ''who looked'');', s.run, named.step, s.run, named.step)
			WHEN s.undo_state = 'undo_failed'
			THEN pg_catalog.format('Look in the system for the request or its key. If it is there, undo it by hand, then: SELECT dataflows.resolve(%L, %L, ''undone'', ''how''); If it is not: SELECT dataflows.resolve(%L, %L, ''not_done'', ''who looked'');', s.run, named.step, s.run, named.step)
			ELSE pg_catalog.format('Look in the system for the request or its key. If it is there, say so with the record, and the run goes on: SELECT dataflows.resolve(%L, %L, ''done'', ''who saw it'', ''{"id": "..."}''); If it is not: SELECT dataflows.resolve(%L, %L, ''not_done'', ''who looked'');', s.run, named.step, s.run, named.step)
		END AS remedy, s.n
	FROM pending p JOIN dataflows.step s ON s.run = p.run AND s.n = p.n
		JOIN dataflows.run r ON r.run = s.run AND r.finished_at IS NULL
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
		CROSS JOIN LATERAL (SELECT CASE WHEN r.round IS NULL THEN s.step ELSE pg_catalog.concat('#', s.n) END AS step) AS named
	WHERE dataflows._sees(w.owner, w.owner_name, r.started_by) IS NOT NULL;
COMMENT ON VIEW dataflows.pending_undo IS 'What a person must undo or settle by hand: undos that failed, and steps in doubt of runs that are stuck';
COMMENT ON COLUMN dataflows.pending_undo.run IS 'The run';
COMMENT ON COLUMN dataflows.pending_undo.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.pending_undo.key IS 'Its key';
COMMENT ON COLUMN dataflows.pending_undo.step IS 'The step';
COMMENT ON COLUMN dataflows.pending_undo.system IS 'System where the effect is';
COMMENT ON COLUMN dataflows.pending_undo.request IS 'Request of the step';
COMMENT ON COLUMN dataflows.pending_undo.state IS 'State of the step: in_doubt, or done';
COMMENT ON COLUMN dataflows.pending_undo.undo IS 'Request that would undo it; with {field} if the field was never received';
COMMENT ON COLUMN dataflows.pending_undo.undo_body IS 'Its body';
COMMENT ON COLUMN dataflows.pending_undo.why IS 'Why the engine could not';
COMMENT ON COLUMN dataflows.pending_undo.answered IS 'What was answered to the step itself';
COMMENT ON COLUMN dataflows.pending_undo.probe IS 'What the probe said last; NULL = none was asked';
COMMENT ON COLUMN dataflows.pending_undo.since IS 'When that began';
COMMENT ON COLUMN dataflows.pending_undo.idempotency_key IS 'Key that its requests carried, to look for on the other side';
COMMENT ON COLUMN dataflows.pending_undo.remedy IS 'What to do, and the SQL that says that it is done';
COMMENT ON COLUMN dataflows.pending_undo.n IS 'Number of the step in its run: ''#'' and this names it to resolve() without doubt';

/* since: the last thing that is recorded of the run, which is what it got stuck at */
CREATE VIEW dataflows.stuck WITH (security_barrier) AS
	SELECT r.run, r.workflow, r.key, w.owner_name AS owner,
		r.stuck OPERATOR(pg_catalog.->>) 'reason' AS reason,
		r.stuck OPERATOR(pg_catalog.->>) 'sqlstate' AS sqlstate,
		r.stuck OPERATOR(pg_catalog.->>) 'remedy' AS remedy,
		GREATEST(r.started_at,
			(SELECT pg_catalog.max(GREATEST(s.started_at, s.sent_at, s.finished_at, s.undo_since))
				FROM dataflows.step s WHERE s.run = r.run),
			(SELECT pg_catalog.max(i.consumed_at) FROM dataflows.inbox i WHERE i.run = r.run)) AS since
	FROM dataflows.run r JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE r.stuck IS NOT NULL AND r.state = 'stuck'
		AND dataflows._sees(w.owner, w.owner_name, r.started_by) IS NOT NULL;
COMMENT ON VIEW dataflows.stuck IS 'Runs that need a person: the reason and the remedy';
COMMENT ON COLUMN dataflows.stuck.run IS 'The run';
COMMENT ON COLUMN dataflows.stuck.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.stuck.key IS 'Its key';
COMMENT ON COLUMN dataflows.stuck.owner IS 'Role as which its body runs';
COMMENT ON COLUMN dataflows.stuck.reason IS 'Why it is stuck';
COMMENT ON COLUMN dataflows.stuck.sqlstate IS 'The same as an SQLSTATE';
COMMENT ON COLUMN dataflows.stuck.remedy IS 'What to do';
COMMENT ON COLUMN dataflows.stuck.since IS 'When the run last did something';

/* ---- what should be empty ------------------------------------------------------------------------ */

CREATE VIEW dataflows.unexplained WITH (security_barrier) AS
	SELECT r.run, r.workflow, r.key, w.owner_name AS owner, r.state,
		CASE WHEN r.state = 'stuck' THEN 'stuck without a reason'
			WHEN r.state = 'waiting' THEN 'waiting for nothing, without a time'
			ELSE 'not held by a worker, and never due' END AS why
	FROM dataflows.run r JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE r.finished_at IS NULL AND r.wake_at IS NULL AND r.lease IS NULL
		AND NOT COALESCE(r.state IN ('waiting', 'rolling_back') AND r.waiting_for IS NOT NULL, false)
		AND NOT COALESCE(r.state = 'stuck' AND r.stuck OPERATOR(pg_catalog.->>) 'reason' IS NOT NULL, false)
		AND dataflows._sees(w.owner, w.owner_name, r.started_by) IS NOT NULL;
COMMENT ON VIEW dataflows.unexplained IS 'Runs that do not move and have neither a reason nor a time nor an event: must be empty, a row is a bug';
COMMENT ON COLUMN dataflows.unexplained.run IS 'The run';
COMMENT ON COLUMN dataflows.unexplained.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.unexplained.key IS 'Its key';
COMMENT ON COLUMN dataflows.unexplained.owner IS 'Role as which its body runs';
COMMENT ON COLUMN dataflows.unexplained.state IS 'Its state';
COMMENT ON COLUMN dataflows.unexplained.why IS 'What is missing';

/* ---- what is measured -------------------------------------------------------------------------------- */

CREATE FUNCTION dataflows._metrics(gauges boolean, OUT name text, OUT type text, OUT labels jsonb, OUT value double precision,
	OUT sum double precision, OUT p50 double precision, OUT p95 double precision, OUT p99 double precision)
	RETURNS SETOF record LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 100 AS 'MODULE_PATHNAME', 'dataflows_metrics';
COMMENT ON FUNCTION dataflows._metrics(boolean) IS 'Internal: what the view metrics shows to the current role; gauges: with what the tables say';

CREATE VIEW dataflows.metrics AS
	SELECT m.name, m.type, m.labels, m.value, m.sum, m.p50, m.p95, m.p99 FROM dataflows._metrics(true) m;
COMMENT ON VIEW dataflows.metrics IS 'What GET /metrics says: counters and histograms since the server started, and gauges; members of pg_monitor see all, others what is of workflows that they own';
COMMENT ON COLUMN dataflows.metrics.name IS 'Name; GET /metrics adds _total to counters';
COMMENT ON COLUMN dataflows.metrics.type IS 'counter, gauge or histogram';
COMMENT ON COLUMN dataflows.metrics.labels IS 'What it is of: workflow, state, system, outcome, ...';
COMMENT ON COLUMN dataflows.metrics.value IS 'The number; of a histogram, how many observations there are';
COMMENT ON COLUMN dataflows.metrics.sum IS 'Sum of the observations of a histogram';
COMMENT ON COLUMN dataflows.metrics.p50 IS 'Median of a histogram, estimated from its buckets';
COMMENT ON COLUMN dataflows.metrics.p95 IS '95th percentile, likewise';
COMMENT ON COLUMN dataflows.metrics.p99 IS '99th percentile, likewise';

/* ---- stats ---------------------------------------------------------------------------------------- */

CREATE VIEW dataflows.stats WITH (security_barrier) AS
	SELECT r.workflow, w.owner_name AS owner,
		pg_catalog.count(*) FILTER (WHERE r.state = 'queued') AS queued,
		pg_catalog.count(*) FILTER (WHERE r.state = 'running') AS running,
		pg_catalog.count(*) FILTER (WHERE r.state = 'waiting') AS waiting,
		pg_catalog.count(*) FILTER (WHERE r.state = 'rolling_back') AS rolling_back,
		pg_catalog.count(*) FILTER (WHERE r.state = 'stuck') AS stuck,
		pg_catalog.count(*) FILTER (WHERE r.state = 'completed') AS completed,
		pg_catalog.count(*) FILTER (WHERE r.state = 'rolled_back') AS rolled_back,
		pg_catalog.count(*) FILTER (WHERE r.state = 'cancelled') AS cancelled,
		pg_catalog.count(*) FILTER (WHERE r.state = 'abandoned') AS abandoned,
		pg_catalog.count(*) FILTER (WHERE r.started_at > pg_catalog.now() - '1 hour'::interval) AS started_1h,
		pg_catalog.count(*) FILTER (WHERE r.finished_at > pg_catalog.now() - '1 hour'::interval) AS finished_1h,
		pg_catalog.percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY
			CASE WHEN r.state = 'completed' THEN r.finished_at - r.started_at END) AS took,
		pg_catalog.min(r.started_at) FILTER (WHERE r.state = 'queued') AS oldest_queued,
		pg_catalog.max(r.finished_at) AS last_finished,
		pg_catalog.max(m.started)::bigint AS started, pg_catalog.max(m.ended)::bigint AS ended,
		pg_catalog.max(m.got_stuck)::bigint AS got_stuck,
		pg_catalog.max(m.p50) AS p50, pg_catalog.max(m.p95) AS p95, pg_catalog.max(m.p99) AS p99
	FROM dataflows.run r JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	LEFT JOIN (SELECT x.labels OPERATOR(pg_catalog.->>) 'workflow' AS workflow,
			pg_catalog.sum(x.value) FILTER (WHERE x.name = 'dataflows_runs_started') AS started,
			pg_catalog.sum(x.value) FILTER (WHERE x.name = 'dataflows_runs_ended') AS ended,
			pg_catalog.sum(x.value) FILTER (WHERE x.name = 'dataflows_runs_stuck') AS got_stuck,
			pg_catalog.max(x.p50 * '1 second'::interval) FILTER (WHERE x.name = 'dataflows_run_duration_seconds') AS p50,
			pg_catalog.max(x.p95 * '1 second'::interval) FILTER (WHERE x.name = 'dataflows_run_duration_seconds') AS p95,
			pg_catalog.max(x.p99 * '1 second'::interval) FILTER (WHERE x.name = 'dataflows_run_duration_seconds') AS p99
		FROM dataflows._metrics(false) x GROUP BY 1) m ON m.workflow = r.workflow
	WHERE dataflows._sees(w.owner, w.owner_name, r.started_by) IS NOT NULL
	GROUP BY r.workflow, w.owner_name;
COMMENT ON VIEW dataflows.stats IS 'Per workflow: how many of the runs that are kept are in each state, and how long completed ones took; and what was counted since the server started';
COMMENT ON COLUMN dataflows.stats.workflow IS 'The workflow';
COMMENT ON COLUMN dataflows.stats.owner IS 'Its owner';
COMMENT ON COLUMN dataflows.stats.queued IS 'Runs that have not begun';
COMMENT ON COLUMN dataflows.stats.running IS 'Runs under way';
COMMENT ON COLUMN dataflows.stats.waiting IS 'Runs that wait for an event, a time or a child';
COMMENT ON COLUMN dataflows.stats.rolling_back IS 'Runs that are being undone';
COMMENT ON COLUMN dataflows.stats.stuck IS 'Runs that need a person';
COMMENT ON COLUMN dataflows.stats.completed IS 'Runs that succeeded';
COMMENT ON COLUMN dataflows.stats.rolled_back IS 'Runs that failed and were undone';
COMMENT ON COLUMN dataflows.stats.cancelled IS 'Runs that were cancelled and undone';
COMMENT ON COLUMN dataflows.stats.abandoned IS 'Runs that a person took over';
COMMENT ON COLUMN dataflows.stats.started_1h IS 'Runs started in the last hour';
COMMENT ON COLUMN dataflows.stats.finished_1h IS 'Runs ended in the last hour';
COMMENT ON COLUMN dataflows.stats.took IS 'From start to end of completed runs: median, 95th and 99th percentile';
COMMENT ON COLUMN dataflows.stats.oldest_queued IS 'Start of the oldest run that has not begun';
COMMENT ON COLUMN dataflows.stats.last_finished IS 'End of the last run that ended';
COMMENT ON COLUMN dataflows.stats.started IS 'Runs that the engine began with since the server started; NULL = none, or not to be seen';
COMMENT ON COLUMN dataflows.stats.ended IS 'Runs that came to an end since then';
COMMENT ON COLUMN dataflows.stats.got_stuck IS 'How often runs got stuck since then';
COMMENT ON COLUMN dataflows.stats.p50 IS 'Median of how long runs took that completed since then, estimated from a histogram';
COMMENT ON COLUMN dataflows.stats.p95 IS '95th percentile, likewise';
COMMENT ON COLUMN dataflows.stats.p99 IS '99th percentile, likewise';

/* ---- systems --------------------------------------------------------------------------------------- */

CREATE FUNCTION dataflows._systems(OUT system oid, OUT in_flight int, OUT breaker text, OUT held_until timestamptz,
		OUT reason text, OUT error_rate float8, OUT requests bigint, OUT failures bigint, OUT latency_ms float8, OUT allowed int)
	RETURNS SETOF record
	LANGUAGE c VOLATILE ROWS 20 AS 'MODULE_PATHNAME', 'dataflows_systems';
COMMENT ON FUNCTION dataflows._systems() IS
'Internal: what shared memory knows of the systems of this database; see the view systems';

CREATE VIEW dataflows.systems WITH (security_barrier) AS
	SELECT s.srvname::text AS system,
		pg_catalog.regexp_replace(o.url, '//[^/@]*@', '//') AS url,
		COALESCE(l.in_flight, 0) AS in_flight, COALESCE(q.n, 0) AS queued,
		COALESCE(o.max_concurrency::int, 32) AS max_concurrency, l.allowed, o.rate_limit,
		COALESCE(l.breaker, 'closed') AS breaker, l.held_until, l.reason, l.error_rate,
		COALESCE(l.requests, 0) AS requests, COALESCE(l.failures, 0) AS failures, l.latency_ms
	FROM pg_catalog.pg_foreign_server s
		JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'dataflows'
		LEFT JOIN LATERAL (SELECT
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'url') AS url,
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'max_concurrency') AS max_concurrency,
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'rate_limit') AS rate_limit
			FROM pg_catalog.pg_options_to_table(s.srvoptions) x) o ON true
		LEFT JOIN dataflows._systems() l ON l.system = s.oid
		LEFT JOIN (SELECT t.system, pg_catalog.count(*) AS n
			FROM dataflows.run r JOIN dataflows.step t ON t.run = r.run
			WHERE r.finished_at IS NULL AND t.system IS NOT NULL
				AND (t.state = 'pending' OR (t.state = 'in_doubt' AND t.finished_at IS NULL) OR t.undo_state = 'due')
			GROUP BY t.system) q ON q.system = s.srvname::text
	WHERE pg_catalog.has_server_privilege(s.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_monitor', 'MEMBER');
COMMENT ON VIEW dataflows.systems IS 'The systems that one may use: how busy each is, whether it answers';
COMMENT ON COLUMN dataflows.systems.system IS 'Name of the server';
COMMENT ON COLUMN dataflows.systems.url IS 'Its url, without credentials';
COMMENT ON COLUMN dataflows.systems.in_flight IS 'Requests on the wire, of all workers of the database';
COMMENT ON COLUMN dataflows.systems.queued IS 'Steps and undos that are recorded and wait to be sent, or to be sent again';
COMMENT ON COLUMN dataflows.systems.max_concurrency IS 'Requests at a time';
COMMENT ON COLUMN dataflows.systems.allowed IS 'Requests at a time while it recovers; NULL = max_concurrency';
COMMENT ON COLUMN dataflows.systems.rate_limit IS 'Requests in a time; NULL = no limit';
COMMENT ON COLUMN dataflows.systems.breaker IS 'closed, open (nothing leaves) or half_open (few requests try whether it answers)';
COMMENT ON COLUMN dataflows.systems.held_until IS 'Until when nothing leaves';
COMMENT ON COLUMN dataflows.systems.reason IS 'failing, asked to wait or credentials refused';
COMMENT ON COLUMN dataflows.systems.error_rate IS 'Part of the requests of about the last minute that failed, 0 to 1; NULL = none were answered';
COMMENT ON COLUMN dataflows.systems.requests IS 'Requests that ended, since the server started';
COMMENT ON COLUMN dataflows.systems.failures IS 'Those of them that failed for the system''s sake';
COMMENT ON COLUMN dataflows.systems.latency_ms IS 'How long an answer takes, smoothed, milliseconds';

GRANT SELECT ON dataflows.workflows, dataflows.runs, dataflows.steps, dataflows.attempts, dataflows.signals,
	dataflows.requests, dataflows.pending_undo, dataflows.stuck, dataflows.unexplained, dataflows.metrics, dataflows.stats,
	dataflows.systems TO PUBLIC;
/*
 * A run as a picture.  Plain SQL over the views, so that everybody gets the
 * picture of what he may see; 100 columns are the most, or as many as asked for.
 */

CREATE FUNCTION dataflows._duration(took interval) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN e < 0.9995 THEN pg_catalog.round(e * 1000) || ' ms'
		WHEN e < 59.95 THEN pg_catalog.round(e, 1) || ' s'
		WHEN e < 3600 THEN pg_catalog.div(e, 60) || ' min ' || pg_catalog.trunc(e % 60) || ' s'
		WHEN e < 86400 THEN pg_catalog.div(e, 3600) || ' h ' || pg_catalog.div(e % 3600, 60) || ' min'
		ELSE pg_catalog.div(e, 86400) || ' d ' || pg_catalog.div(e % 86400, 3600) || ' h' END
	FROM (SELECT GREATEST(0, EXTRACT(epoch FROM took)) AS e) AS s;
END;
COMMENT ON FUNCTION dataflows._duration(interval) IS 'Internal: a duration in two units at most';

/* a bar of so many cells: glyph from one time to another, x where a try failed */
CREATE FUNCTION dataflows._bar(began timestamptz, ended timestamptz, since timestamptz, until timestamptz,
	glyph text, failed timestamptz[], cells int) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH scale AS (
		SELECT GREATEST(EXTRACT(epoch FROM ended - began), 0.001) AS span),
	ends AS (
		SELECT LEAST(cells - 1, GREATEST(0, pg_catalog.floor(cells * EXTRACT(epoch FROM since - began) / span))) AS first,
			LEAST(cells - 1, pg_catalog.ceil(cells * EXTRACT(epoch FROM until - began) / span) - 1) AS last,
			ARRAY(SELECT LEAST(cells - 1, GREATEST(0, pg_catalog.floor(cells * EXTRACT(epoch FROM f - began) / span)))
				FROM pg_catalog.unnest(failed) AS f) AS crosses
		FROM scale)
	SELECT pg_catalog.string_agg(CASE
			WHEN i = ANY (crosses) THEN 'x'
			WHEN i BETWEEN first AND GREATEST(first, last) THEN glyph
			ELSE ' ' END, '' ORDER BY i)
	FROM ends, pg_catalog.generate_series(0, cells - 1) AS i;
END;
COMMENT ON FUNCTION dataflows._bar(timestamptz, timestamptz, timestamptz, timestamptz, text, timestamptz[], int) IS
'Internal: one bar of the timeline';

/* what a step came to, in a few words */
CREATE FUNCTION dataflows._step_words(s dataflows.steps, signalled_by text, at timestamptz) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN s.kind = 'wait' AND s.state = 'waiting' THEN 'waits' ||
			COALESCE(', at most ' || dataflows._duration(s.wake_at - at) || ' more', '')
		WHEN s.kind = 'wait' AND s.state = 'done' AND signalled_by IS NULL THEN
			'timed out after ' || dataflows._duration(s.finished_at - s.started_at)
		WHEN s.kind = 'wait' AND s.state = 'done' THEN
			'by ' || signalled_by || ' after ' || dataflows._duration(s.finished_at - s.started_at)
		WHEN s.kind = 'call' AND s.state = 'waiting' THEN 'waits for its run'
		WHEN s.kind = 'continue' THEN 'round ' || (s.round + 1) || ' begins'
		WHEN s.kind = 'sleep' AND s.state = 'waiting' THEN
			'sleeps' || COALESCE(', ' || dataflows._duration(s.wake_at - at) || ' more', '')
		ELSE pg_catalog.replace(s.state, '_', ' ') || COALESCE(' ' || s.status, '') ||
			COALESCE(', ' || dataflows._duration(s.finished_at - s.started_at), '') ||
			CASE WHEN s.attempts > 1 THEN ', ' || s.attempts || ' attempts' ELSE '' END ||
			CASE WHEN s.finished_at IS NULL THEN
				COALESCE(', next in ' || dataflows._duration(s.wake_at - at), '') ELSE '' END
		END;
END;
COMMENT ON FUNCTION dataflows._step_words(dataflows.steps, text, timestamptz) IS 'Internal: the words beside a bar of the timeline';

/* colours of a terminal: green works, yellow waits, red failed, magenta is undone */
CREATE FUNCTION dataflows._paint(line text, colour boolean) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN colour THEN
		pg_catalog.regexp_replace(pg_catalog.regexp_replace(pg_catalog.regexp_replace(pg_catalog.regexp_replace(line,
			'#+', E'\x1b[32m\\&\x1b[0m', 'g'), '[.]+', E'\x1b[33m\\&\x1b[0m', 'g'),
			'<+', E'\x1b[35m\\&\x1b[0m', 'g'), '[x?]+', E'\x1b[31m\\&\x1b[0m', 'g')
		ELSE line END;
COMMENT ON FUNCTION dataflows._paint(text, boolean) IS 'Internal: a bar of the timeline in colours';

CREATE FUNCTION dataflows.timeline(run uuid, colour boolean DEFAULT false, width int DEFAULT NULL) RETURNS SETOF text
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED ROWS 20
BEGIN ATOMIC
	WITH size AS MATERIALIZED (
		SELECT z.w, CASE WHEN z.w < 100 THEN 16 ELSE 22 END AS names, CASE WHEN z.w < 100 THEN 24 ELSE 34 END AS words,
			z.w - CASE WHEN z.w < 100 THEN 48 ELSE 64 END AS cells
		FROM (SELECT GREATEST(60, LEAST(COALESCE(timeline.width, 100), 500)) AS w) AS z),
	it AS MATERIALIZED (
		SELECT r.run, r.workflow, r.key, r.state, r.parent, r.waiting_for, r.wake_at, r.started_at, r.finished_at, r.error, r.stuck,
			COALESCE(r.finished_at, (SELECT k.since FROM dataflows.stuck k WHERE k.run = r.run),
				pg_catalog.clock_timestamp()) AS ended
		FROM dataflows.runs r WHERE r.run = timeline.run),
	steps AS MATERIALIZED (
		SELECT s AS row, s.n, s.step, s.kind, s.state, s.started_at, s.finished_at, s.undo_state, s.undo_since,
			s.undo_attempts, it.started_at AS t0, it.ended,
			ARRAY(SELECT a.at FROM dataflows.attempts a WHERE a.run = s.run AND a.n = s.n AND NOT a.undo) AS failed,
			ARRAY(SELECT a.at FROM dataflows.attempts a WHERE a.run = s.run AND a.n = s.n AND a.undo) AS undo_failed
		FROM it JOIN dataflows.steps s ON s.run = it.run),
	undos AS (
		SELECT u.*, pg_catalog.lead(u.undo_since) OVER (ORDER BY u.n DESC) AS next_since
		FROM steps u WHERE u.undo_state <> 'none'),
	lines (part, place, line) AS (
		SELECT 0, 0, pg_catalog.concat_ws('  ', it.workflow || COALESCE(' "' || it.key || '"', ''),
			pg_catalog.replace(it.state, '_', ' ') || COALESCE(' after ' || dataflows._duration(it.finished_at - it.started_at), ''),
			'started ' || pg_catalog.to_char(it.started_at, 'YYYY-MM-DD HH24:MI:SS') || CASE WHEN it.finished_at IS NULL
				THEN ', ' || dataflows._duration(pg_catalog.clock_timestamp() - it.started_at) || ' ago' ELSE '' END)
		FROM it
		UNION ALL
		SELECT 0, 1, 'called by run ' || it.parent FROM it WHERE it.parent IS NOT NULL
		UNION ALL
		SELECT 0, 2, '    ' || pg_catalog.rpad('', z.names) || '  0' ||
			pg_catalog.lpad(dataflows._duration(it.ended - it.started_at), z.cells - 1)
		FROM it, size z
		UNION ALL
		SELECT 1, s.n, pg_catalog.lpad(s.n::text, 3) || ' ' ||
			pg_catalog.rpad(CASE WHEN pg_catalog.length(s.step) > z.names THEN pg_catalog.left(s.step, z.names - 1) || '~' ELSE s.step END, z.names) ||
			' |' || dataflows._paint(dataflows._bar(s.t0, s.ended, s.started_at, COALESCE(s.finished_at, s.ended),
				CASE WHEN s.kind IN ('wait', 'sleep') THEN '.' WHEN s.state = 'in_doubt' THEN '?' ELSE '#' END,
				CASE WHEN s.state = 'failed' AND s.kind NOT IN ('wait', 'sleep')
					THEN s.failed || s.finished_at ELSE s.failed END, z.cells), timeline.colour) || '| ' ||
			pg_catalog.left(dataflows._step_words(s.row,
				(SELECT g.sent_by FROM dataflows.signals g, it WHERE g.run = it.run AND g.consumed_by = s.step LIMIT 1),
				s.ended), z.words)
		FROM steps s, size z
		UNION ALL
		SELECT 2, -u.n, '    ' ||
			pg_catalog.rpad(CASE WHEN pg_catalog.length(u.step) > z.names - 5 THEN 'undo ' || pg_catalog.left(u.step, z.names - 6) || '~'
				ELSE 'undo ' || u.step END, z.names) || ' |' ||
			CASE WHEN u.undo_since IS NULL THEN pg_catalog.repeat(' ', z.cells)
				ELSE dataflows._paint(dataflows._bar(u.t0, u.ended, u.undo_since, COALESCE(u.next_since, u.ended), '<', u.undo_failed, z.cells),
					timeline.colour) END ||
			'| ' || pg_catalog.replace(u.undo_state, '_', ' ') ||
			CASE WHEN u.undo_attempts > 1 THEN ', ' || u.undo_attempts || ' attempts' ELSE '' END
		FROM undos u, size z
		UNION ALL
		SELECT 3, 1, 'waits for ' || it.waiting_for || COALESCE(', until ' || pg_catalog.to_char(it.wake_at, 'YYYY-MM-DD HH24:MI:SS'), '')
		FROM it WHERE it.finished_at IS NULL AND it.waiting_for IS NOT NULL
		UNION ALL
		SELECT 3, 0, pg_catalog.left(pg_catalog.format('called %s%s: run %s%s', c.step,
			CASE WHEN k.n > 10 THEN ' and ' || (k.n - 1) || ' others' END, c.child, ', ' || r.state), 100)
		FROM it, LATERAL (SELECT pg_catalog.count(*) AS n FROM dataflows.steps x WHERE x.run = it.run AND x.child IS NOT NULL) AS k,
			LATERAL (SELECT x.step, x.child FROM dataflows.steps x WHERE x.run = it.run AND x.child IS NOT NULL
				ORDER BY x.n LIMIT CASE WHEN k.n > 10 THEN 1 ELSE 10 END) AS c
			LEFT JOIN dataflows.runs r ON r.run = c.child
		UNION ALL
		SELECT 3, 2, 'error: ' || (it.error OPERATOR(pg_catalog.->>) 'message') ||
			COALESCE(': ' || (it.error OPERATOR(pg_catalog.->>) 'reason'), '')
		FROM it WHERE it.error OPERATOR(pg_catalog.->>) 'message' IS NOT NULL
		UNION ALL
		SELECT 3, 3, 'stuck: ' || (it.stuck OPERATOR(pg_catalog.->>) 'reason')
		FROM it WHERE it.stuck OPERATOR(pg_catalog.->>) 'reason' IS NOT NULL
		UNION ALL
		SELECT 3, 4, 'remedy: ' || (it.stuck OPERATOR(pg_catalog.->>) 'remedy')
		FROM it WHERE it.stuck OPERATOR(pg_catalog.->>) 'remedy' IS NOT NULL
		UNION ALL
		SELECT 4, 0, '    # works  . waits  x a try failed  ? in doubt  < is undone'
		FROM it
		UNION ALL
		SELECT 5, 0, pg_catalog.concat('run "', timeline.run, '" does not exist, or is not yours to see')
		WHERE NOT EXISTS (SELECT FROM it))
	SELECT pg_catalog.rtrim(w.piece) FROM lines l, size z,
		LATERAL pg_catalog.translate(l.line, E'\n\r\t', '   ') AS t (line),
		/* words that stand on no row of the chart go on in the next line, if a width is asked for */
		LATERAL pg_catalog.regexp_split_to_table(CASE WHEN l.part IN (1, 2) OR timeline.width IS NULL OR pg_catalog.length(t.line) <= z.w THEN t.line
			ELSE pg_catalog.rtrim(pg_catalog.regexp_replace(t.line, '(.{1,' || (z.w - 1) || '})( +|$)', E'\\1\n', 'g'), E'\n') END, E'\n')
			WITH ORDINALITY AS w (piece, nr)
	ORDER BY l.part, l.place, w.nr;
END;
COMMENT ON FUNCTION dataflows.timeline(uuid, boolean, int) IS
'Draws a run as a text Gantt chart: a row per step with a bar scaled to the run''s time, then a row per undo, then what it waits for or why it failed. Shows what the views runs and steps show to the caller.
colour: with the colours of a terminal, for psql''s unaligned format. width: columns, 60 to 500; NULL = 100.';

/* ---- what goes on, in lines that fit a terminal -------------------------------------------- */

/* the two parts are those of the indexes run_due and run_parked: what has ended costs nothing */
CREATE VIEW dataflows.live WITH (security_barrier) AS
	SELECT r.workflow, r.key, r.state,
		pg_catalog.left(COALESCE(r.stuck OPERATOR(pg_catalog.->>) 'reason', 'waits for ' || r.waiting_for,
			(SELECT s.step FROM dataflows.step s WHERE s.run = r.run ORDER BY s.n DESC LIMIT 1), 'is to begin'), 40) AS doing,
		dataflows._duration(pg_catalog.now() - r.started_at) AS age, r.run
	FROM (SELECT * FROM dataflows.run d WHERE d.wake_at IS NOT NULL
		UNION ALL SELECT * FROM dataflows.run p WHERE p.wake_at IS NULL AND p.finished_at IS NULL) r
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(w.owner, w.owner_name, r.started_by) IS NOT NULL;
COMMENT ON VIEW dataflows.live IS 'Runs that have not ended, a line each that fits a terminal';
COMMENT ON COLUMN dataflows.live.workflow IS 'The workflow';
COMMENT ON COLUMN dataflows.live.key IS 'Its key';
COMMENT ON COLUMN dataflows.live.state IS 'Its state';
COMMENT ON COLUMN dataflows.live.doing IS 'What it waits for, why it is stuck, or its last step; at most 40 characters';
COMMENT ON COLUMN dataflows.live.age IS 'How long ago it was started';
COMMENT ON COLUMN dataflows.live.run IS 'Id of the run';
GRANT SELECT ON dataflows.live TO PUBLIC;
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
COMMENT ON COLUMN dataflows.schedule.name IS 'Name of the schedule; the job is called dataflows.<name>';
COMMENT ON COLUMN dataflows.schedule.cron IS 'When it fires, as pg_cron reads it';
COMMENT ON COLUMN dataflows.schedule.workflow IS 'Workflow that is started';
COMMENT ON COLUMN dataflows.schedule.input IS 'Input of its runs';
COMMENT ON COLUMN dataflows.schedule.owner IS 'Role that scheduled it, with whose right the runs are started';
COMMENT ON COLUMN dataflows.schedule.owner_name IS 'Name of that role; oid and name must both match';
COMMENT ON COLUMN dataflows.schedule.scheduled_at IS 'When schedule() was called last';
COMMENT ON COLUMN dataflows.schedule.last_at IS 'Minute (second, if it fires by seconds) of the last firing; a second firing of it starts nothing';
COMMENT ON COLUMN dataflows.schedule.last_run IS 'Run that this firing started';
SELECT pg_catalog.pg_extension_config_dump('dataflows.schedule', '');

CREATE FUNCTION dataflows.schedule(name text, cron text, workflow text, input jsonb DEFAULT '{}') RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_schedule';
COMMENT ON FUNCTION dataflows.schedule(text, text, text, jsonb) IS
'Has pg_cron start a run of the newest version at these times, with the caller''s right; instead of what the schedule of that name did before.
name: 1 to 50 bytes. cron: as pg_cron reads it, in the time zone of its setting. input: what each body is called with; default {}. Each firing starts one run, with the key <name>@<minute>, even if pg_cron fires twice; one that was missed is not made up for.
For members of the workflow''s owner and roles that were granted EXECUTE on its function by name. Errors: 55000 (pg_cron is missing, or in another database: the hint says what to do there), DF005 (unknown workflow), DF006 (too large or long), 42501 (a missing right, or the name is another role''s), 22023 (a bad argument), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.unschedule(name text) RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_unschedule';
COMMENT ON FUNCTION dataflows.unschedule(text) IS
'Ends a schedule; runs that it started go on. Returns false if there is none of that name.
For members of the role that scheduled it and of the workflow''s owner. Errors: 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows._fire(name text) RETURNS uuid
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_fire';
COMMENT ON FUNCTION dataflows._fire(text) IS 'Internal: what pg_cron calls; starts the run of this minute, or returns it';
REVOKE ALL ON FUNCTION dataflows._fire(text) FROM PUBLIC;

CREATE FUNCTION dataflows._cron_job(name text, OUT active boolean, OUT last_status text, OUT last_message text) RETURNS record
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_cron_job';
COMMENT ON FUNCTION dataflows._cron_job(text) IS 'Internal: what pg_cron knows of a schedule; NULLs for who may not see it';

CREATE VIEW dataflows.schedules WITH (security_barrier) AS
	SELECT s.name, s.cron, s.workflow, s.owner_name AS owner, j.active, s.last_at, s.last_run, j.last_status, j.last_message,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, s.owner_name) = 'all' THEN s.input END AS input,
		s.scheduled_at
	FROM dataflows.schedule s
	LEFT JOIN LATERAL (SELECT v.owner, v.owner_name FROM dataflows.workflow v
			WHERE v.name = s.workflow ORDER BY v.version DESC LIMIT 1) w ON true
	CROSS JOIN LATERAL dataflows._cron_job(s.name) j
	WHERE dataflows._sees(w.owner, w.owner_name, s.owner_name) IS NOT NULL;
COMMENT ON VIEW dataflows.schedules IS 'Schedules, and what pg_cron knows of them';
COMMENT ON COLUMN dataflows.schedules.name IS 'Name of the schedule; the job in pg_cron is called dataflows.<name>';
COMMENT ON COLUMN dataflows.schedules.cron IS 'When it fires';
COMMENT ON COLUMN dataflows.schedules.workflow IS 'Workflow that it starts';
COMMENT ON COLUMN dataflows.schedules.owner IS 'Role that scheduled it, with whose right the runs are started';
COMMENT ON COLUMN dataflows.schedules.active IS 'Whether pg_cron has an active job for it';
COMMENT ON COLUMN dataflows.schedules.last_at IS 'Minute or second of the last firing that started a run';
COMMENT ON COLUMN dataflows.schedules.last_run IS 'The run that it started';
COMMENT ON COLUMN dataflows.schedules.last_status IS 'What pg_cron says of the last firing: succeeded, failed, ...; NULL = none that it remembers';
COMMENT ON COLUMN dataflows.schedules.last_message IS 'Its message, such as why it failed';
COMMENT ON COLUMN dataflows.schedules.input IS 'Input of the runs';
COMMENT ON COLUMN dataflows.schedules.scheduled_at IS 'When schedule() was called last';
GRANT SELECT ON dataflows.schedules TO PUBLIC;
/*
 * Webhooks in.  Secrets are options of user mappings; a row names the system
 * that has one.
 */
CREATE TABLE dataflows.webhook (
	path text NOT NULL PRIMARY KEY,
	starts text,
	signals text,
	event text,
	key text,
	verify text NOT NULL,
	secret text,
	filter text,
	handler text,
	handler_owner oid,
	owner oid NOT NULL,
	owner_name text NOT NULL,
	created_at timestamptz NOT NULL,
	CHECK ((starts IS NULL) <> (signals IS NULL))
);
COMMENT ON TABLE dataflows.webhook IS 'One row per path that takes webhooks';
COMMENT ON COLUMN dataflows.webhook.path IS 'Path of the URL';
COMMENT ON COLUMN dataflows.webhook.starts IS 'Workflow that a delivery starts';
COMMENT ON COLUMN dataflows.webhook.signals IS 'Workflow of which a delivery signals a run';
COMMENT ON COLUMN dataflows.webhook.event IS 'Event of the signal: a name, or a jsonpath into the body';
COMMENT ON COLUMN dataflows.webhook.key IS 'Key of the run: a literal, or a jsonpath into the body';
COMMENT ON COLUMN dataflows.webhook.verify IS 'How the sender is verified';
COMMENT ON COLUMN dataflows.webhook.secret IS 'System whose user mapping has the secret';
COMMENT ON COLUMN dataflows.webhook.filter IS 'jsonpath predicate that the body must meet';
COMMENT ON COLUMN dataflows.webhook.handler IS 'Qualified signature of the function that decides';
COMMENT ON COLUMN dataflows.webhook.handler_owner IS 'Owner of that function when the webhook was created';
COMMENT ON COLUMN dataflows.webhook.owner IS 'Role that created the webhook, with whose right runs are started and signalled';
COMMENT ON COLUMN dataflows.webhook.owner_name IS 'Name of that role; oid and name must both match';
COMMENT ON COLUMN dataflows.webhook.created_at IS 'When create_webhook() was called';

CREATE TABLE dataflows.webhook_delivery (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	path text NOT NULL,
	event_id text,
	at timestamptz NOT NULL,
	outcome text,
	run uuid,
	answer jsonb
) WITH (fillfactor = 60);
CREATE UNIQUE INDEX webhook_delivery_event ON dataflows.webhook_delivery (path, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX webhook_delivery_at ON dataflows.webhook_delivery (at);
COMMENT ON TABLE dataflows.webhook_delivery IS 'One row per delivery that was verified; kept for dataflows.retention';
COMMENT ON COLUMN dataflows.webhook_delivery.id IS 'Order of arrival';
COMMENT ON COLUMN dataflows.webhook_delivery.path IS 'Path of the webhook';
COMMENT ON COLUMN dataflows.webhook_delivery.event_id IS 'What the sender calls it; a repeated delivery has the same';
COMMENT ON COLUMN dataflows.webhook_delivery.at IS 'When it came; of a link that was used, when that expires';
COMMENT ON COLUMN dataflows.webhook_delivery.outcome IS 'started, signalled or ignored';
COMMENT ON COLUMN dataflows.webhook_delivery.run IS 'Run that was started or signalled';
COMMENT ON COLUMN dataflows.webhook_delivery.answer IS 'What was answered, and will be to a repeated one';
SELECT pg_catalog.pg_extension_config_dump('dataflows.webhook', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.webhook_delivery', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.webhook_delivery_id_seq', '');

CREATE FUNCTION dataflows.create_webhook(path text, starts text DEFAULT NULL, signals text DEFAULT NULL, event text DEFAULT NULL,
	key text DEFAULT NULL, verify text DEFAULT 'none', secret text DEFAULT NULL, filter text DEFAULT NULL, handler text DEFAULT NULL)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_create_webhook';
COMMENT ON FUNCTION dataflows.create_webhook(text, text, text, text, text, text, text, text, text) IS
'From now on POST <path> starts a workflow, or signals a run of one, with the caller''s right.
path: begins with "/"; up to 200 letters, digits and - . _ ~ /. starts or signals: the workflow. event, key: a literal, or a jsonpath into the body (''$.data.id''); event is for signals alone, key is required for them. verify: none, bearer, stripe, github, standard (Standard Webhooks) or hmac-sha256:<Header>; secret: a system whose user mapping has webhook_secret (and, while rotating, webhook_secret_old). filter: a jsonpath predicate on the body. handler: a function (headers jsonb, body jsonb) RETURNS jsonb, run read-only as the caller; NULL ignores the delivery, an object may have key, event, input and ignored.
For members of the workflow''s owner. Errors: DF005 (unknown workflow), 42710 (the path is taken), 22023 (a bad argument), 42883 (no such handler), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.drop_webhook(path text) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_drop_webhook';
COMMENT ON FUNCTION dataflows.drop_webhook(text) IS
'Ends a webhook, and forgets what was delivered to it; runs that it started go on.
For members of the role that created it. Errors: DF005 (no such webhook), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.receive_webhook(path text, headers jsonb, body bytea) RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_receive_webhook';
COMMENT ON FUNCTION dataflows.receive_webhook(text, jsonb, bytea) IS
'A delivery to a webhook, by SQL, for any gateway: verified and carried out as if it had come by HTTP, in this transaction. Answer the sender after the commit.
headers: an object of strings; the case of names does not matter. Returns {"status": the HTTP status, and "run", "ignored" or "error"}; what is wrong with a delivery is an answer, not an error. A handler runs with search_path "$user", public of the webhook''s creator, whatever the caller''s is.
For whom EXECUTE is granted to: nobody by default. Errors: 22004 (NULL), 25006 (read-only transaction).';
REVOKE ALL ON FUNCTION dataflows.receive_webhook(text, jsonb, bytea) FROM PUBLIC;

CREATE FUNCTION dataflows.event_url(run uuid, event text, expires interval DEFAULT '7 days') RETURNS text
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_event_url';
COMMENT ON FUNCTION dataflows.event_url(uuid, text, interval) IS
'A link that sends an event to a run, for a mail: <dataflows.public_url>/event/... Opening it shows a page with a button; pressing that signals the run, once, with the payload {"confirmed": true}, sent_by ''link''. Whoever has the link may do this and nothing else, until it expires.
event: the name in wait_for(). expires: from now; default 7 days. May be called in a body (dataflows.event_url(dataflows.run_id(), ...)).
Rights: as for signal(). Errors: DF005 (unknown run), 55000 (dataflows.public_url is not set), 22023 (a bad argument), 42501 (a missing right).';

CREATE VIEW dataflows.webhooks WITH (security_barrier) AS
	SELECT w.path, w.starts, w.signals, w.event, w.key, w.verify, w.secret AS secret_of, w.filter, w.handler, w.owner_name AS owner, w.created_at,
		d.deliveries, d.ignored, d.last_at
	FROM dataflows.webhook w
	LEFT JOIN LATERAL (SELECT pg_catalog.count(*) AS deliveries, pg_catalog.count(*) FILTER (WHERE x.outcome = 'ignored') AS ignored,
			pg_catalog.max(x.at) AS last_at
		FROM dataflows.webhook_delivery x WHERE x.path = w.path) d ON true
	WHERE dataflows._sees(w.owner, w.owner_name, w.owner_name) IS NOT NULL;
COMMENT ON VIEW dataflows.webhooks IS 'The webhooks, without secrets, and how much came in';
COMMENT ON COLUMN dataflows.webhooks.path IS 'Path of the URL';
COMMENT ON COLUMN dataflows.webhooks.starts IS 'Workflow that a delivery starts';
COMMENT ON COLUMN dataflows.webhooks.signals IS 'Workflow of which a delivery signals a run';
COMMENT ON COLUMN dataflows.webhooks.event IS 'Event of the signal: a name, or a jsonpath into the body';
COMMENT ON COLUMN dataflows.webhooks.key IS 'Key of the run: a literal, or a jsonpath into the body';
COMMENT ON COLUMN dataflows.webhooks.verify IS 'How the sender is verified';
COMMENT ON COLUMN dataflows.webhooks.secret_of IS 'System whose user mapping has the secret';
COMMENT ON COLUMN dataflows.webhooks.filter IS 'jsonpath predicate that the body must meet';
COMMENT ON COLUMN dataflows.webhooks.handler IS 'Function that decides';
COMMENT ON COLUMN dataflows.webhooks.owner IS 'Role that created it';
COMMENT ON COLUMN dataflows.webhooks.created_at IS 'When';
COMMENT ON COLUMN dataflows.webhooks.deliveries IS 'Deliveries that were verified, within dataflows.retention';
COMMENT ON COLUMN dataflows.webhooks.ignored IS 'Those that had no effect';
COMMENT ON COLUMN dataflows.webhooks.last_at IS 'When the last one came';
GRANT SELECT ON dataflows.webhooks TO PUBLIC;
/* Traces: what became of the spans, since the server was started. */
CREATE FUNCTION dataflows._tracing(OUT exported bigint, OUT dropped bigint, OUT waiting int, OUT last_error text) RETURNS record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'dataflows_tracing';
COMMENT ON FUNCTION dataflows._tracing() IS 'Internal: counts of spans, of the whole server';

CREATE VIEW dataflows.tracing AS
	SELECT t.exported, t.dropped, t.waiting, t.last_error FROM dataflows._tracing() t;
COMMENT ON VIEW dataflows.tracing IS 'Spans sent to dataflows.otlp_endpoint since the server was started, of all its databases';
COMMENT ON COLUMN dataflows.tracing.exported IS 'Spans that the collector took';
COMMENT ON COLUMN dataflows.tracing.dropped IS 'Spans that it did not take, or for which there was no room';
COMMENT ON COLUMN dataflows.tracing.waiting IS 'Spans that wait for the next export';
COMMENT ON COLUMN dataflows.tracing.last_error IS 'Why the last export failed; NULL = it did not';
GRANT SELECT ON dataflows.tracing TO PUBLIC;
/*
 * The page.  A token is known by its hash alone, is good for what its role may,
 * and is not dumped.  A physical copy (a base backup, a template) has it, too.
 */
CREATE TABLE dataflows.page_token (
	hash bytea NOT NULL PRIMARY KEY,
	owner oid NOT NULL,
	owner_name text NOT NULL,
	created_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL
);
CREATE INDEX page_token_owner ON dataflows.page_token (owner);
COMMENT ON TABLE dataflows.page_token IS 'One row per token of dashboard_token() that has not expired';
COMMENT ON COLUMN dataflows.page_token.hash IS 'SHA-256 of the token';
COMMENT ON COLUMN dataflows.page_token.owner IS 'Role that made it, as which its requests run';
COMMENT ON COLUMN dataflows.page_token.owner_name IS 'Name of that role; oid and name must both match';
COMMENT ON COLUMN dataflows.page_token.created_at IS 'When dashboard_token() was called';
COMMENT ON COLUMN dataflows.page_token.expires_at IS 'When it is good no more';

CREATE FUNCTION dataflows.dashboard_token(expires interval DEFAULT '12 hours') RETURNS text
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_dashboard_token';
COMMENT ON FUNCTION dataflows.dashboard_token(interval) IS
'A token with which a person logs in at the page (dataflows.dashboard) and there sees and may do what the current role sees and may do. It is shown this once: only its hash is kept. It ends when it expires, with revoke_dashboard_tokens(), when the role is dropped or renamed, and while it is a superuser or may not log in (NOLOGIN, VALID UNTIL).
expires: from now, up to 30 days; default 12 hours. Errors: 22023 (a bad interval), 25006 (read-only transaction), 42501 (a superuser, or a role without LOGIN).';

CREATE FUNCTION dataflows.revoke_dashboard_tokens() RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_revoke_dashboard_tokens';
COMMENT ON FUNCTION dataflows.revoke_dashboard_tokens() IS
'Ends all tokens of the current role for the page, and says how many there were. Who is logged in with one is logged out. Errors: 25006 (read-only transaction).';
/* state belongs to the database: it is dumped with it */
SELECT pg_catalog.pg_extension_config_dump('dataflows.installation', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.workflow', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.run', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.step', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.alias', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.attempt', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.inbox', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.inbox_id_seq', '');

/* tell the launcher, at commit, that this database has an engine now */
CREATE FUNCTION dataflows._created() RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'dataflows_created';
COMMENT ON FUNCTION dataflows._created() IS 'Internal: tells the launcher of this database at commit';
REVOKE ALL ON FUNCTION dataflows._created() FROM PUBLIC;
SELECT dataflows._created();
