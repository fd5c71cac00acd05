/*
 * Define and start.  define_workflow() is for those whom it is granted to; the
 * others are for all, since the functions look themselves who may.
 */
CREATE FUNCTION dataflows.define_workflow(name text, function text, on_failure text DEFAULT NULL,
	retry jsonb DEFAULT NULL, deadline interval DEFAULT NULL, accept_notify text DEFAULT 'run',
	undo_on text DEFAULT 'failure', notify text DEFAULT NULL, on_error text DEFAULT NULL)
	RETURNS int
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_define_workflow';
COMMENT ON FUNCTION dataflows.define_workflow(text, text, text, jsonb, interval, text, text,
	text, text) IS
'Makes a new version of a workflow and returns its number, or that of the newest version if '
'nothing is different: neither the arguments nor the functions. Runs keep the version that they '
'were started with.
name: 1 to 200 bytes. function: name of a function (jsonb) RETURNS jsonb, or a signature. '
'on_failure: the same, called with what happened after a rollback; default none.
retry: {"max_attempts","initial","max","for"}, durations as intervals or seconds; default what '
'each system says. deadline: how long a run may take; default for ever.
accept_notify: what NOTIFY may signal: run (by run id; the default), key (also by key) or none. '
'undo_on: what fails a run, so that it is undone: failure (the default: what the body or a '
'system said on purpose), error (also other errors of the body) or never. notify: channel that '
'hears when a run waits, is stuck or has ended; default none. on_error: the old name of undo_on: '
'undo is failure, stuck is never.
The caller becomes the owner, as whom the bodies run. If the extension plpgsql_check is here, '
'what it finds in the functions is a WARNING each. Errors: 42P13 (function unfit), 42883 (no '
'such function), 42501 (a missing right, or the name is another role''s), 22023 (a bad '
'argument), DF007 (engine not loaded).';
REVOKE ALL ON FUNCTION dataflows.define_workflow(text, text, text, jsonb, interval, text, text,
	text, text)
	FROM PUBLIC;

CREATE FUNCTION dataflows.drop_workflow(name text) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_drop_workflow';
COMMENT ON FUNCTION dataflows.drop_workflow(text) IS
'Drops a workflow: no run can be started any more; what has ended stays to be looked at, and the '
'name stays its owner''s.
For members of its owner. Errors: 55006 (it has live runs), 42501 (not the owner''s), DF005 '
'(unknown).';

CREATE FUNCTION dataflows.set_owner(workflow text, role name) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_set_owner';
COMMENT ON FUNCTION dataflows.set_owner(text, name) IS
'Gives a workflow to another role, also if the one that owned it is gone: all versions, and the '
'webhooks and schedules of the old owner for it. Live runs go on as the new owner, once nothing '
'of them is in flight; those that are stuck because of their owner are sent on. Rights that were '
'given stay.
role: may connect to the database and execute the functions; no superuser. It needs rights on '
'the systems, and credentials, of its own.
For superusers. Errors: DF005 (unknown workflow), 42704 (no such role), 42501 (a missing right, '
'or a superuser as the new owner), 55000 (this database is a copy), 25006 (read-only '
'transaction).';
REVOKE ALL ON FUNCTION dataflows.set_owner(text, name) FROM PUBLIC;

CREATE FUNCTION dataflows.start(workflow text, input jsonb DEFAULT '{}', key text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_start';
COMMENT ON FUNCTION dataflows.start(text, jsonb, text) IS
'Starts a run of the newest version, in this transaction, and returns its id; if a run holds the '
'same key, returns that one''s, or NULL with a NOTICE if the caller may not see it.
input: what the body is called with, at most dataflows.max_body bytes; default {}. key: business '
'key, 1 to 1024 bytes, free again after rolled_back, cancelled or abandoned; default none.
For the right start. Errors: DF005 (unknown workflow), DF006 (too large), 42501 (a missing '
'right), 25006 (read-only transaction), 40001 (the run that holds the key is not visible to this '
'snapshot).';

CREATE FUNCTION dataflows.restart(run uuid, again boolean DEFAULT false) RETURNS uuid
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_restart';
COMMENT ON FUNCTION dataflows.restart(uuid, boolean) IS
'Starts a new run of the newest version with the input and key of one that has ended; returns the '
'new run''s id.
again: also of a completed run, whose effects are there, and without the key if another run '
'holds it.
For the rights start and see. Errors: DF005 (unknown run or workflow), 55000 (the run has not '
'ended, is completed or was forgotten, or its key is held), 42501 (a missing right), DF006 (too '
'large).';

CREATE TABLE dataflows.local_time_trigger (
	trigger oid PRIMARY KEY
);
COMMENT ON TABLE dataflows.local_time_trigger IS
	'Triggers of version 0.1 whose key column is a timestamptz: until they are made anew, the key '
	'is written in the time zone of the session; otherwise it is in UTC';
COMMENT ON COLUMN dataflows.local_time_trigger.trigger IS 'The trigger';

CREATE FUNCTION dataflows.start_on_insert() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_start_on_insert';
COMMENT ON FUNCTION dataflows.start_on_insert() IS
'Trigger function start_on_insert(workflow [, key column]): starts a run for each inserted row, '
'with the row as its input, in the inserting transaction.
A key column of type timestamptz is written in UTC, as 2026-11-27T12:00:00+00:00.
AFTER INSERT FOR EACH ROW, or FOR EACH STATEMENT with REFERENCING NEW TABLE. The table''s owner '
'must have the right to start; who inserts needs none. A row whose key is NULL starts a run '
'without a key.
To make such a trigger takes EXECUTE, which authors have (allow_author()), and on another '
'role''s table the right to start the workflow.
Errors: 39P01 (the trigger was made otherwise), 42703 (no such column), and those of start().';

CREATE FUNCTION dataflows.signal_on_change() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_signal_on_change';
COMMENT ON FUNCTION dataflows.signal_on_change() IS
'Trigger function signal_on_change(workflow, event, key column): each inserted or updated row is '
'a signal, with the row as its payload, to the run of that key. Instead of an event, ''@column'' '
'takes it from that column of the row.
AFTER INSERT, UPDATE or both FOR EACH ROW (say in WHEN which rows), or after one of them FOR '
'EACH STATEMENT with REFERENCING NEW TABLE. The table''s owner must have the right to signal. A '
'row whose key or event is NULL signals nobody; a signal without a run is kept for '
'dataflows.signal_ttl. While about 10,000 signals to a run or key wait to be taken, further ones '
'are dropped with a WARNING.
To make such a trigger takes what it takes for start_on_insert(). Errors: 39P01 (the trigger was '
'made otherwise), 42703 (no such column), DF005 (unknown workflow), DF006 (too large), 42501 (a '
'missing right).';

CREATE FUNCTION dataflows.act_on_insert() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_act_on_insert';
COMMENT ON FUNCTION dataflows.act_on_insert() IS
'Trigger function act_on_insert(): each inserted row is a signal to a run, or what a person asks '
'of it, in the inserting transaction: rows can be routed to the node where the run lives.
The table has the columns run uuid and action text, and may have event text, payload jsonb, note '
'text and on_behalf_of text. action: signal (event, payload), cancel, retry, undo, abandon (note), '
'or resolve (event: the step; payload: {"outcome", "output"}; note); arguments and errors are '
'those of the function of that name. A NOTICE says how many rows had no effect. While about 10,000 '
'signals to a run wait to be taken, further ones are dropped with a WARNING.
AFTER INSERT FOR EACH ROW, or FOR EACH STATEMENT with REFERENCING NEW TABLE. The table''s owner '
'must have the right; who inserts needs none and is recorded. To make such a trigger takes '
'EXECUTE, which authors have (allow_author()), and to be a member of the table''s owner.
Errors: 39P01 (the trigger was made otherwise), 42703 (no column run or action), 42804 (a column '
'of another type), 22023 (no such action), 22004 (no run or action), DF005 (unknown run, or it '
'lives on another node), and those of the function; the statement fails with all its rows.';
