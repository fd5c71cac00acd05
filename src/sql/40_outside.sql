/*
 * What the world asks of runs.  All of these but await() and status() only
 * insert a row into the inbox; the functions look themselves who may.
 */
CREATE FUNCTION dataflows.signal(run uuid, event text, payload jsonb DEFAULT '{}',
	on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_signal';
COMMENT ON FUNCTION dataflows.signal(uuid, text, jsonb, text) IS
'Delivers an event to a run, durably, in this transaction; one that comes before the run waits '
'for it is kept. Returns false if the run has ended.
event: the name in wait_for(), 1 to 200 bytes. payload: what wait_for() returns, at most '
'dataflows.max_body bytes; default {}. on_behalf_of: the application''s own user, recorded beside '
'the role and believed; default none.
A NOTICE says so if the run waits for the event from another role, or for other events.
For the right signal, or signal:<event>. Errors: DF005 (unknown run), DF006 (too large), 54000 '
'(about 10,000 signals to the run wait to be taken), 42501 (a missing right), 25006 (read-only '
'transaction).';

CREATE FUNCTION dataflows.signal_by_key(workflow text, key text, event text,
	payload jsonb DEFAULT '{}', on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_signal_by_key';
COMMENT ON FUNCTION dataflows.signal_by_key(text, text, text, jsonb, text) IS
'Delivers an event to the run that holds a key. If there is none yet, the signal is kept for '
'dataflows.signal_ttl and goes to the run that is started with that key. Returns false if that '
'run has ended.
event, payload, on_behalf_of and rights: as for signal(). Errors: DF005 (unknown workflow), '
'DF006 (too large), 54000 (about 10,000 signals to that run, or by that key while there is none, '
'wait to be taken), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.cancel(run uuid, reason text DEFAULT NULL,
	on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_cancel';
COMMENT ON FUNCTION dataflows.cancel(uuid, text, text) IS
'Asks that a run, stuck or not, be undone and end as cancelled. Returns false if it has ended or '
'is rolling back already.
reason: recorded with who and when; default none. on_behalf_of: as for signal(). For the right '
'cancel. Errors: DF005 (unknown run), DF006 (the reason is too long), 42501 (a missing right), '
'25006 (read-only transaction).';

CREATE FUNCTION dataflows.retry(run uuid, note text DEFAULT NULL,
	on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_retry';
COMMENT ON FUNCTION dataflows.retry(uuid, text, text) IS
'Lets a stuck run go on where it is; its retries are counted from the beginning. Returns false if '
'it is not stuck.
note: why; recorded with who and when; default none. on_behalf_of: as for signal(). For the '
'right operate. Errors: DF005 (unknown run), DF006 (the note is too long), 42501 (a missing '
'right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.resolve(run uuid, step text, outcome text, note text,
	output jsonb DEFAULT NULL, on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_resolve';
COMMENT ON FUNCTION dataflows.resolve(uuid, text, text, text, jsonb, text) IS
'A person settles a step that is in doubt, or an undo that failed. Returns false if there is '
'nothing to settle in that way.
outcome: done (it was carried out; output is what it returned), not_done (it was not: the step '
'failed), resend (it was not: send it again), skipped (go on without it) or undone (what it did '
'was undone by hand). note: how you know; recorded with who and when. output: default none. '
'on_behalf_of: as for signal().
For the right operate. Errors: DF005 (unknown run or step), 22023 (no such outcome, no note, an '
'output without a field that the undo names), DF006 (note or output too large), 42501 (a missing '
'right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.rename_step(run uuid, recorded text, now text,
	note text DEFAULT NULL, on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_rename_step';
COMMENT ON FUNCTION dataflows.rename_step(uuid, text, text, text, text) IS
'Says that a recorded step has another name in the function now, and lets a run that is stuck '
'with DF003 go on. Returns false if the run has ended, is in a worker''s memory at the moment, '
'has no such step, or has one of the new name already, other than a wait.
recorded, now: whole names as in the view steps: name#2 is the second call. A wait that goes on '
'waits for the event of its new name. note: why; recorded with who and when; default none. '
'on_behalf_of: as for signal(). For many runs: SELECT dataflows.rename_step(run, ''a'', ''b'') '
'FROM dataflows.stuck WHERE ....
For the right operate. Errors: DF005 (unknown run), 22023 (now cannot be the name of a step), '
'DF006 (the note is too long), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.accept_drift(run uuid, step text DEFAULT NULL,
	note text DEFAULT NULL, on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_accept_drift';
COMMENT ON FUNCTION dataflows.accept_drift(uuid, text, text, text) IS
'Says that what is recorded of a step counts, whatever the function asks for now, and lets a run '
'that is stuck with DF003 go on: the step stays done and keeps its undo, whether it is called or '
'not. It holds for the functions as they are now: after the next change it is asked again. '
'Returns false if the run has ended, is in a worker''s memory at the moment, has no such step, or '
'is stuck because the function calls it as a step of another kind: see the remedy.
step: whole name as in the view steps; default all that are recorded. note: why; recorded with '
'who and when; default none. on_behalf_of: as for signal(). For many runs: SELECT '
'dataflows.accept_drift(run, ''a'') FROM dataflows.stuck WHERE ....
For the right operate. Errors: DF005 (unknown run), DF006 (the note is too long), 42501 (a '
'missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.undo(run uuid, note text, on_behalf_of text DEFAULT NULL)
	RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_undo';
COMMENT ON FUNCTION dataflows.undo(uuid, text, text) IS
'Asks that a completed run be undone, newest step first. Returns false if it is not completed.
note: why; recorded with who and when. on_behalf_of: as for signal(). For the right operate. '
'Errors: DF005 (unknown run), 22023 (no note), DF006 (the note is too long), 55000 (the run was '
'forgotten), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.abandon(run uuid, note text, on_behalf_of text DEFAULT NULL)
	RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_abandon';
COMMENT ON FUNCTION dataflows.abandon(uuid, text, text) IS
'Ends a run as abandoned, because a person has taken it over: nothing more of it is done or '
'undone. The runs that it called and that have not ended are abandoned, too. Works for a stuck '
'run, and in any state while its workflow or the database is paused or held: for runs that were '
'completed after a restored backup was made. Returns false for any other.
note: why; recorded with who and when. on_behalf_of: as for signal(). For the right operate. '
'Errors: DF005 (unknown run), 22023 (no note), DF006 (the note is too long), 42501 (a missing '
'right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.pause(workflow text DEFAULT NULL, note text DEFAULT NULL,
	on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_pause';
COMMENT ON FUNCTION dataflows.pause(text, text, text) IS
'Holds the runs of a workflow, or of the whole database, where they are; responses to requests in '
'flight are recorded. Runs can still be started and signalled. Returns false if they were held '
'already.
workflow: for the right operate; default the whole database, for members of the extension''s '
'owner. note: why; recorded with who and when; default none. on_behalf_of: as for signal(). '
'Errors: DF005 (unknown workflow), DF006 (the note is too long), 42501 (a missing right), 25006 '
'(read-only transaction).';

CREATE FUNCTION dataflows.resume(workflow text DEFAULT NULL, note text DEFAULT NULL,
	on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_resume';
COMMENT ON FUNCTION dataflows.resume(text, text, text) IS
'Lets the runs that pause() holds go on. Returns false if they were not held. A workflow that is '
'held by itself stays so when the whole database is resumed.
workflow: default the whole database; rights and errors as for pause().';

CREATE FUNCTION dataflows.pause_system(system text, note text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_pause_system';
COMMENT ON FUNCTION dataflows.pause_system(text, text) IS
'Holds all requests to a system, of all workflows, from the commit on: for its maintenance. '
'Requests in flight end; nothing is lost, no attempt is used, and the clocks of retry and of '
'deadlines stand still. Returns false if it was paused already.
system: a server of the wrapper dataflows. note: why, at most 1000 bytes; shown in the view '
'systems with who and when; default none. For members of the server''s owner and superusers. '
'Errors: 42704 (unknown system), 42501 (a missing right), DF006 (the note is too long), 25006 '
'(read-only transaction).';

CREATE FUNCTION dataflows.resume_system(system text) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_resume_system';
COMMENT ON FUNCTION dataflows.resume_system(text) IS
'Lets the requests go on that pause_system() holds: within seconds, after a pause of hours within '
'two minutes. Returns false if the system was not paused.
system: rights and errors as for pause_system().';

CREATE FUNCTION dataflows.await(run uuid, timeout interval DEFAULT '30 s',
	ended boolean DEFAULT false) RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_await';
COMMENT ON FUNCTION dataflows.await(uuid, interval, boolean) IS
'Blocks until a run stops moving and returns its state: a terminal one, stuck, or waiting (for '
'an event); after the timeout the state that it has then.
timeout: NULL = for ever; default 30 s. ended: true = until it has ended or is stuck, also over '
'waits for events; default false. The run must be committed: it cannot move before. For '
'roles that may see the run. Errors: DF005 (unknown run), DF007 (engine not loaded), 42501 (a '
'missing right), 55000 (started in this transaction), 0A000 (called by a workflow), 22023 '
'(negative timeout).';

CREATE FUNCTION dataflows.status(OUT process text, OUT database text, OUT owner text, OUT pid int,
	OUT state text, OUT waits_for text, OUT reason text, OUT since timestamptz, OUT runs_held int,
	OUT in_flight int)
		RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'dataflows_status';
COMMENT ON FUNCTION dataflows.status() IS
	'Says whether the engine runs in this database, and if not, why: a row per process and '
	'owner, with what it waits for. The first row is the engine as a whole: running, not loaded, '
	'standby, not running, idle, outdated, held, paused, aside, crowded (processes take turns) '
	'or degraded (it runs, but a part of it fails again and again: see the reason). An owner '
	'without a worker has a row that says why.';
