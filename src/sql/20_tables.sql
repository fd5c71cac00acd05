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
	link_key bytea,
	token text,
	system text
);
COMMENT ON TABLE dataflows.installation IS
	'One row, written by the first define_workflow(): which database the runs belong to; it is '
	'dumped with them';
COMMENT ON COLUMN dataflows.installation.one IS 'Always true: there is one row';
COMMENT ON COLUMN dataflows.installation.identity IS
	'Identity of the database: the random part in dataflows.origin and the oid of the database; '
	'runs move only in the database with this identity';
COMMENT ON COLUMN dataflows.installation.token IS
	'dataflows.identity of the server when the row was written; NULL = it was not set';
COMMENT ON COLUMN dataflows.installation.system IS
	'System identifier of the cluster; compared where there is no token';
COMMENT ON COLUMN dataflows.installation.live IS 'Not used: only a dump of version 0.1 fills it';
COMMENT ON COLUMN dataflows.installation.link_key IS
	'Not used: only a dump of version 0.1 fills it. The key of links is in dataflows.origin';
COMMENT ON COLUMN dataflows.installation.paused IS
	'pause() without a workflow: no run of the database moves';

CREATE TABLE dataflows.origin (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	random uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
	link_key bytea NOT NULL DEFAULT pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
		OPERATOR(pg_catalog.||) pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
);
COMMENT ON TABLE dataflows.origin IS
	'One row, written by CREATE EXTENSION and never dumped: it tells this database from its '
	'copies';
COMMENT ON COLUMN dataflows.origin.one IS 'Always true: there is one row';
COMMENT ON COLUMN dataflows.origin.random IS 'Random part of the identity';
COMMENT ON COLUMN dataflows.origin.link_key IS
	'Key that signs the links of event_url(): random, of this installation only; see '
	'renew_link_key()';
INSERT INTO dataflows.origin DEFAULT VALUES;

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
	undo_on text NOT NULL DEFAULT 'failure' CHECK (undo_on IN ('failure', 'error', 'never')),
	paused boolean NOT NULL DEFAULT false,
	dropped boolean NOT NULL DEFAULT false,
	defined_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	notify text,
	on_error text,
	fingerprint bigint,
	PRIMARY KEY (name, version)
);
COMMENT ON TABLE dataflows.workflow IS 'One row per version of a workflow; a version never changes';
COMMENT ON COLUMN dataflows.workflow.name IS 'Name of the workflow';
COMMENT ON COLUMN dataflows.workflow.version IS 'Version, from 1';
COMMENT ON COLUMN dataflows.workflow.function IS 'Qualified signature of the body';
COMMENT ON COLUMN dataflows.workflow.function_owner IS
	'Owner of the body when the version was defined; a run whose body has another owner now gets '
	'stuck';
COMMENT ON COLUMN dataflows.workflow.owner IS
	'Role that defined the workflow; its bodies run as this role';
COMMENT ON COLUMN dataflows.workflow.owner_name IS
	'Name of that role; oid and name must both match';
COMMENT ON COLUMN dataflows.workflow.on_failure IS
	'Qualified signature of the body that is run after a rollback, or NULL';
COMMENT ON COLUMN dataflows.workflow.retry IS
	'Retry of its steps: {"max_attempts","initial","max","for"}; NULL = what the system says';
COMMENT ON COLUMN dataflows.workflow.deadline IS
	'How long a run may take before it fails; NULL = for ever';
COMMENT ON COLUMN dataflows.workflow.accept_notify IS
	'Whether NOTIFY may signal its runs: none, run (by run id), key (also by key)';
COMMENT ON COLUMN dataflows.workflow.undo_on IS
	'What fails a run, so that it is undone: failure (what the body or a system said on purpose), '
	'error (other errors of the body, too) or never';
COMMENT ON COLUMN dataflows.workflow.notify IS
	'Channel that hears when a run waits, is stuck or has ended; NULL = none';
COMMENT ON COLUMN dataflows.workflow.on_error IS
	'NULL; a dump of version 0.1 fills it: stuck means that undo_on is never';
COMMENT ON COLUMN dataflows.workflow.fingerprint IS
	'Fingerprint of its functions when it was defined; NULL = by version 0.1';
COMMENT ON COLUMN dataflows.workflow.paused IS 'pause(workflow): no run of it moves';
COMMENT ON COLUMN dataflows.workflow.defined_at IS 'When define_workflow() was called';
COMMENT ON COLUMN dataflows.workflow.dropped IS
	'drop_workflow() was called; runs that have ended still refer to the version';

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
	pivot_n int,
	held_since timestamptz,
	held_us bigint
) WITH (fillfactor = 42, toast_tuple_target = 512,
	autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX run_due ON dataflows.run (workflow, sql, wake_at) WHERE wake_at IS NOT NULL;
CREATE UNIQUE INDEX run_key ON dataflows.run (workflow, key) WHERE key_held AND key IS NOT NULL;
CREATE INDEX run_parent ON dataflows.run (parent) WHERE parent IS NOT NULL;
/*
 * for people, and for free: they hold what has given up its key, what waits without a
 * time, and what is stuck
 */
CREATE INDEX run_key_free ON dataflows.run (workflow, key) WHERE NOT key_held AND key IS NOT NULL;
CREATE INDEX run_parked ON dataflows.run (workflow) WHERE wake_at IS NULL AND finished_at IS NULL;
CREATE INDEX run_stuck ON dataflows.run (run) WHERE stuck IS NOT NULL;
/*
 * newest first, by workflow and who started them: no two runs share an entry, so that there is
 * nothing to deduplicate but old versions, which are soon deleted; and what was rolled back,
 * which may be rare
 */
CREATE INDEX run_newest ON dataflows.run (workflow, started_by, run)
	WITH (deduplicate_items = off);
CREATE INDEX run_undone ON dataflows.run (workflow, run) WHERE cause IS NOT NULL;
/* what is to be purged, the oldest first */
CREATE INDEX run_ended ON dataflows.run (finished_at, run) WHERE finished_at IS NOT NULL;
COMMENT ON TABLE dataflows.run IS 'One row per execution of a workflow';
COMMENT ON COLUMN dataflows.run.run IS 'UUIDv7 of the run';
COMMENT ON COLUMN dataflows.run.identity IS
	'Hash of the identity of the database in which the run was started; only runs of the present '
	'identity move';
COMMENT ON COLUMN dataflows.run.started_at IS 'When start() was called';
COMMENT ON COLUMN dataflows.run.version IS
	'Version of the workflow with which the run was started; it keeps it';
COMMENT ON COLUMN dataflows.run.workflow IS 'Name of the workflow';
COMMENT ON COLUMN dataflows.run.key IS 'Business key, unique among the runs that hold it';
COMMENT ON COLUMN dataflows.run.started_by IS 'Role that started the run';
COMMENT ON COLUMN dataflows.run.traceparent IS
	'Trace that the run belongs to, given by the session that started it (W3C Trace Context); '
	'NULL = a trace of its own';
COMMENT ON COLUMN dataflows.run.restarted_from IS 'The run that this one was restarted from';
COMMENT ON COLUMN dataflows.run.parent IS 'The run that called this one';
COMMENT ON COLUMN dataflows.run.parent_n IS 'Number of the step of the parent that called this one';
COMMENT ON COLUMN dataflows.run.input IS 'What the body is called with';
COMMENT ON COLUMN dataflows.run.key_held IS 'True while no other run can have the key';
COMMENT ON COLUMN dataflows.run.sql IS
	'The next step is the SQL of a query step: a sql worker takes the run, not a worker';
COMMENT ON COLUMN dataflows.run.state IS 'See the view state_machine';
COMMENT ON COLUMN dataflows.run.wake_at IS
	'When the engine advances the run next; NULL = not before an event; while a worker has a '
	'lease, when the run was claimed';
COMMENT ON COLUMN dataflows.run.lease IS
	'Random number of the worker that has claimed the run; NULL = none has';
COMMENT ON COLUMN dataflows.run.finished_at IS 'When the run reached a terminal state';
COMMENT ON COLUMN dataflows.run.waiting_for IS 'Event or reason for which the run waits';
COMMENT ON COLUMN dataflows.run.entries IS
	'Entries into the body that have not returned; counted only after the server or a worker '
	'ended inside the body';
COMMENT ON COLUMN dataflows.run.body_retries IS 'Transient errors of the body in a row';
COMMENT ON COLUMN dataflows.run.body_hash IS 'Fingerprint of the function at the first entry';
COMMENT ON COLUMN dataflows.run.drifted IS
	'The function, or one that it names, was replaced after the first entry, or it took another '
	'way than is recorded';
COMMENT ON COLUMN dataflows.run.cause IS
	'Why the run rolls or rolled back: failed, cancelled or undo; NULL = it did not';
COMMENT ON COLUMN dataflows.run.result IS 'What the body returned';
COMMENT ON COLUMN dataflows.run.error IS
	'Why the run failed or was cancelled: {"sqlstate","message",...}';
COMMENT ON COLUMN dataflows.run.round IS
	'Number of the round that continue_with() began; NULL = the first';
COMMENT ON COLUMN dataflows.run.round_n IS 'Number of the last step of earlier rounds';
COMMENT ON COLUMN dataflows.run.pivot_n IS
	'Number of the last point of no return in earlier rounds';
COMMENT ON COLUMN dataflows.run.deadline IS
	'New deadline, given by retry() or resolve(); NULL = the deadline of the workflow, from the '
	'start of the run';
COMMENT ON COLUMN dataflows.run.held_since IS
	'Since when the clock of the deadline has stood still, because a step is held: its system asks '
	'for time, is paused, keeps failing or refuses the credentials';
COMMENT ON COLUMN dataflows.run.held_us IS
	'For how many microseconds it stood still before; NULL = never';
COMMENT ON COLUMN dataflows.run.stuck IS
	'Why a person is needed: {"sqlstate","reason","remedy"}, "other_kind" with the number of a '
	'step that is called as one of another kind, and of an error of the body "message", '
	'"detail", "hint", "context", "schema", "table", "column", "datatype" and "constraint", as '
	'far as they are known';

CREATE TABLE dataflows.run_count (
	workflow text NOT NULL,
	state text NOT NULL,
	share int NOT NULL,
	runs bigint NOT NULL,
	PRIMARY KEY (workflow, state, share)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE dataflows.run_count IS
	'How many runs have ended; kept in the transactions that end and purge them';
COMMENT ON COLUMN dataflows.run_count.workflow IS 'Workflow';
COMMENT ON COLUMN dataflows.run_count.state IS
	'completed, rolled_back, cancelled or abandoned';
COMMENT ON COLUMN dataflows.run_count.share IS
	'Each process has rows of its own, so that none waits for another';
COMMENT ON COLUMN dataflows.run_count.runs IS
	'Runs that reached the state less those that left it; may be negative in one share';

CREATE TABLE dataflows.state_change (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	channel text NOT NULL,
	run uuid NOT NULL,
	state text NOT NULL
);
COMMENT ON TABLE dataflows.state_change IS
	'State changes that are to be notified; the coordinator sends and deletes them';
COMMENT ON COLUMN dataflows.state_change.id IS 'Order in which they are sent';
COMMENT ON COLUMN dataflows.state_change.channel IS
	'Channel that the workflow of the run names in notify';
COMMENT ON COLUMN dataflows.state_change.run IS 'The run';
COMMENT ON COLUMN dataflows.state_change.state IS 'State that it reached';

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
	held_since timestamptz,
	held_us bigint,
	-- the evidence: what is known of whether it was carried out, where something went wrong
	lost int,
	lost_at timestamptz,
	may_resend boolean,
	ask_probe boolean,
	key_spent boolean,
	probed_at timestamptz,
	probe_found int,
	probe_said text,
	existed boolean,
	kept boolean,
	accepted boolean,
	maybe_twice boolean,
	resolved text,
	meaning text,
	undo_headers jsonb,
	carried_out boolean,
	-- NULL but for steps that began under 0.1
	key_form text,
	-- where the function has changed
	body_hash bigint,
	accepted_hash bigint,
	maybe_not_ours boolean,
	-- in whose account it was sent, and whether it was not, since that or the url has changed
	account_hash int,
	elsewhere boolean,
	PRIMARY KEY (run, n)
) WITH (fillfactor = 36, toast_tuple_target = 512,
	autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX step_undo_failed ON dataflows.step (run) WHERE undo_state = 'undo_failed';
COMMENT ON TABLE dataflows.step IS 'One row per recorded effect or wait of a run';
COMMENT ON COLUMN dataflows.step.run IS 'The run';
COMMENT ON COLUMN dataflows.step.n IS 'Start order within the run, from 1';
COMMENT ON COLUMN dataflows.step.base_hash IS
	'Hash of the url of the system that it was last sent to, with the proxy or the socket';
COMMENT ON COLUMN dataflows.step.started_at IS 'When the intent was recorded';
COMMENT ON COLUMN dataflows.step.kind IS
	'http, wait, sleep, undo, query, once, call, mail, pivot, alias or continue';
COMMENT ON COLUMN dataflows.step.step IS 'Name in the body; the n-th call with one name is name#n';
COMMENT ON COLUMN dataflows.step.system IS 'System (FOREIGN SERVER) that is called';
COMMENT ON COLUMN dataflows.step.request IS
	'METHOD /path as sent, or what else identifies the step';
COMMENT ON COLUMN dataflows.step.headers IS
	'Headers given by the body; never a secret of the system';
COMMENT ON COLUMN dataflows.step.body IS
	'What each attempt sends; of files and mails, the JSON that they are written from';
COMMENT ON COLUMN dataflows.step.options IS
	'What the body asked for: undo, probe, doubt, accept, retry, timeout (ms), ...';
COMMENT ON COLUMN dataflows.step.state IS 'See the view state_machine';
COMMENT ON COLUMN dataflows.step.attempts IS 'Attempts begun';
COMMENT ON COLUMN dataflows.step.renewals IS
	'How often retry() rendered the step again; part of its idempotency key';
COMMENT ON COLUMN dataflows.step.sent_at IS
	'When the last attempt was committed; NULL = with the intent, at started_at';
COMMENT ON COLUMN dataflows.step.wake_at IS
	'When the next attempt follows, or the wait or sleep ends';
COMMENT ON COLUMN dataflows.step.finished_at IS 'When the step ended';
COMMENT ON COLUMN dataflows.step.status IS
	'HTTP status of the last response, or code of the mail server''s last reply';
COMMENT ON COLUMN dataflows.step.output IS 'What the step returned to the body';
COMMENT ON COLUMN dataflows.step.answer IS
	'Headers of the response without those of the transport; of a wait, who sent the signal and '
	'when';
COMMENT ON COLUMN dataflows.step.error IS 'Why it failed';
COMMENT ON COLUMN dataflows.step.undo IS
	'METHOD /path of the request that undoes the step, rendered when its output was recorded';
COMMENT ON COLUMN dataflows.step.undo_body IS 'Body of that request';
COMMENT ON COLUMN dataflows.step.carried_out IS
	'A response has said that it was carried out, but its until was not met: it is undone, too';
COMMENT ON COLUMN dataflows.step.undo_headers IS
	'Headers of that request over the step''s own; null = this one is left out';
COMMENT ON COLUMN dataflows.step.undo_state IS
	'NULL (none), due, sent, undone, gone or undo_failed';
COMMENT ON COLUMN dataflows.step.undo_attempts IS 'Attempts of the undo begun';
COMMENT ON COLUMN dataflows.step.undo_since IS 'When the undo was first tried';
COMMENT ON COLUMN dataflows.step.undo_error IS 'Why the undo failed';
COMMENT ON COLUMN dataflows.step.held_since IS
	'Since when the clock of its tries has stood still, because it is held: its system asks for '
	'time, is paused, keeps failing or refuses the credentials';
COMMENT ON COLUMN dataflows.step.held_us IS
	'For how many microseconds it stood still before; NULL = never';
COMMENT ON COLUMN dataflows.step.lost IS
	'Attempts that may have been carried out and of which nothing proves what became; NULL = none';
COMMENT ON COLUMN dataflows.step.lost_at IS 'When the last of them was lost';
COMMENT ON COLUMN dataflows.step.may_resend IS
	'A probe has found nothing since: the step may be sent again';
COMMENT ON COLUMN dataflows.step.ask_probe IS 'The probe is asked before the step is sent again';
COMMENT ON COLUMN dataflows.step.key_spent IS
	'The system repeats to its idempotency key a response that does not help: it is not sent with '
	'that key again';
COMMENT ON COLUMN dataflows.step.probed_at IS 'When a probe was last answered, or given up';
COMMENT ON COLUMN dataflows.step.probe_found IS
	'How many resources it found; NULL = none, -1 = it could not tell';
COMMENT ON COLUMN dataflows.step.probe_said IS 'The same in words';
COMMENT ON COLUMN dataflows.step.existed IS
	'A probe found it before the step was sent for the first time';
COMMENT ON COLUMN dataflows.step.kept IS 'Done by a status that the step accepts: it is not undone';
COMMENT ON COLUMN dataflows.step.accepted IS 'Done by doubt => ''accept'', which nothing confirms';
COMMENT ON COLUMN dataflows.step.maybe_twice IS
	'Done, but an earlier attempt may have been carried out, too';
COMMENT ON COLUMN dataflows.step.maybe_not_ours IS
	'A probe found it by what was asked for, and nothing in it names the run or the idempotency '
	'key: it is not undone by itself';
COMMENT ON COLUMN dataflows.step.resolved IS
	'What a person said with resolve(): done, not_done, resend, skipped or undone';
COMMENT ON COLUMN dataflows.step.meaning IS
	'What the last response meant, if not that it was done: kept, retry, doubt, fail, stuck, '
	'credentials or unusable';

CREATE TABLE dataflows.proven_step (
	workflow text NOT NULL,
	version int NOT NULL,
	body_hash bigint NOT NULL,
	step_hash bigint NOT NULL,
	PRIMARY KEY (workflow, version, body_hash, step_hash)
);
COMMENT ON TABLE dataflows.proven_step IS
	'Steps that have once been done by a workflow as it is, and undos that have once been '
	'carried out: a 400 to such a step is a refusal, and to any other step it makes the run '
	'stuck; a 404 to such an undo is believed wherever it is sent. Likewise probes that were '
	'once answered';
COMMENT ON COLUMN dataflows.proven_step.workflow IS 'Name of the workflow';
COMMENT ON COLUMN dataflows.proven_step.version IS 'Its version';
COMMENT ON COLUMN dataflows.proven_step.body_hash IS 'Hash of its function';
COMMENT ON COLUMN dataflows.proven_step.step_hash IS
	'Hash of the name of the step; of an undo or a probe, of its request and system, too';
COMMENT ON COLUMN dataflows.step.key_form IS
	'Form of its idempotency key: text (run/n, of a step that began under 0.1); NULL = a UUID';
COMMENT ON COLUMN dataflows.step.body_hash IS
	'Fingerprint of the function that asked for it; NULL = that of the first entry, run.body_hash';
COMMENT ON COLUMN dataflows.step.accepted_hash IS
	'Fingerprint of the function for which accept_drift() said that what is recorded counts';
COMMENT ON COLUMN dataflows.step.account_hash IS
	'Hash of whose account it was last sent in, the lowest byte of the database; of no secret';
COMMENT ON COLUMN dataflows.step.elsewhere IS
	'It, or its undo, was not sent, since the system has another url or account than before';

CREATE TABLE dataflows.alias (
	workflow text NOT NULL,
	key text NOT NULL,
	run uuid NOT NULL,
	PRIMARY KEY (workflow, key)
);
CREATE INDEX alias_run ON dataflows.alias (run);
COMMENT ON TABLE dataflows.alias IS
	'Further keys of runs. An alias whose run has ended is free for another run';
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
COMMENT ON TABLE dataflows.attempt IS 'One row per failed attempt of a step or an undo';
COMMENT ON COLUMN dataflows.attempt.run IS 'The run';
COMMENT ON COLUMN dataflows.attempt.n IS 'Number of the step';
COMMENT ON COLUMN dataflows.attempt.seq IS 'Number of the attempt, from 1';
COMMENT ON COLUMN dataflows.attempt.undo IS 'Whether the step was being undone';
COMMENT ON COLUMN dataflows.attempt.at IS 'When it was sent';
COMMENT ON COLUMN dataflows.attempt.took_ms IS 'How long it took, milliseconds';
COMMENT ON COLUMN dataflows.attempt.status IS 'HTTP status; NULL = no response';
COMMENT ON COLUMN dataflows.attempt.outcome IS 'retry, failed, in_doubt or stuck';
COMMENT ON COLUMN dataflows.attempt.error IS 'Why it failed, without secrets';
COMMENT ON COLUMN dataflows.attempt.next_at IS 'When the next attempt follows; NULL = none';

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
	consumed_at timestamptz,
	on_behalf_of text
) WITH (fillfactor = 80);
CREATE INDEX inbox_new ON dataflows.inbox (workflow, id) WHERE state = 'new';
CREATE INDEX inbox_run ON dataflows.inbox (run, id) WHERE run IS NOT NULL;
CREATE INDEX inbox_waiting ON dataflows.inbox (run, id) WHERE run IS NOT NULL AND state <> 'done';
CREATE INDEX inbox_key ON dataflows.inbox (workflow, key, id) WHERE run IS NULL AND state <> 'done';
/* what the coordinator carries out, few at any time */
CREATE INDEX inbox_abandon ON dataflows.inbox (run) WHERE kind = 'abandon' AND state = 'new';
/* what is thrown away: signals that no run took, and what pause() left */
CREATE INDEX inbox_expires ON dataflows.inbox (expires_at) WHERE run IS NULL AND state = 'kept';
CREATE INDEX inbox_notes ON dataflows.inbox (consumed_at) WHERE run IS NULL AND state = 'done';
COMMENT ON TABLE dataflows.inbox IS
	'Signals and operator requests for runs: sessions insert rows, the engine reads them';
COMMENT ON COLUMN dataflows.inbox.id IS 'Arrival order';
COMMENT ON COLUMN dataflows.inbox.run IS 'The run that it is for; NULL = known by its key only';
COMMENT ON COLUMN dataflows.inbox.workflow IS
	'Workflow of that run; '''' = the whole database was paused or resumed';
COMMENT ON COLUMN dataflows.inbox.key IS 'Key of that run, where it was given';
COMMENT ON COLUMN dataflows.inbox.kind IS
	'signal, cancel, retry, undo, abandon, resolve, rename or accept; child: a run that this one '
	'called has ended; pause or resume: a record of what was done to a workflow or to the database';
COMMENT ON COLUMN dataflows.inbox.event IS 'Event of a signal; step of a resolve, rename or accept';
COMMENT ON COLUMN dataflows.inbox.payload IS
	'Payload of a signal; new name of a rename; functions of an accept; of a child, its result or '
	'error, until the parent has recorded it; of an abandon, set if the run was at rest';
COMMENT ON COLUMN dataflows.inbox.note IS 'Reason that the sender gave';
COMMENT ON COLUMN dataflows.inbox.sent_by IS 'Role that sent it, or NOTIFY';
COMMENT ON COLUMN dataflows.inbox.sent_pid IS 'Process id of the session that sent a NOTIFY';
COMMENT ON COLUMN dataflows.inbox.sent_at IS 'When it was sent';
COMMENT ON COLUMN dataflows.inbox.expires_at IS
	'When a signal for which there is no run is deleted';
COMMENT ON COLUMN dataflows.inbox.state IS
	'new (the engine has not read it), kept (for a later wait) or done';
COMMENT ON COLUMN dataflows.inbox.consumed_by IS 'Step that consumed the signal';
COMMENT ON COLUMN dataflows.inbox.consumed_at IS 'When it was consumed or took effect';
COMMENT ON COLUMN dataflows.inbox.on_behalf_of IS
	'The application''s own user for whom the role sent it, as the application said';
