-- ended runs are purged in the order in which they ended, tokens of the page in the order in which they expire
CREATE INDEX run_ended ON dataflows.run (finished_at, run) WHERE finished_at IS NOT NULL;
CREATE INDEX page_token_expires ON dataflows.page_token (expires_at);
-- what a run has not taken is counted
CREATE INDEX inbox_waiting ON dataflows.inbox (run, id) WHERE run IS NOT NULL AND state <> 'done';
-- and then refused
COMMENT ON FUNCTION dataflows.signal(uuid, text, jsonb) IS
'Delivers an event to a run, durably, in this transaction; one that comes before the run waits for it is kept. Returns false if the run has ended.
event: the name in wait_for(), 1 to 200 bytes. payload: what wait_for() returns, at most dataflows.max_body bytes; default {}.
For members of the workflow''s owner and roles that were granted EXECUTE on its function by name. Errors: DF005 (unknown run), DF006 (too large), 54000 (about 10,000 signals to the run wait to be taken), 42501 (a missing right), 25006 (read-only transaction).';
COMMENT ON FUNCTION dataflows.signal_by_key(text, text, text, jsonb) IS
'Delivers an event to the run that holds a key. If there is none yet, the signal is kept for dataflows.signal_ttl and goes to the run that is started with that key. Returns false if that run has ended.
event, payload and rights: as for signal(). Errors: DF005 (unknown workflow), DF006 (too large), 54000 (about 10,000 signals to that run, or by that key while there is none, wait to be taken), 42501 (a missing right), 25006 (read-only transaction).';
