-- ended runs are purged in the order in which they ended, tokens of the page in the order in which
-- they expire
CREATE INDEX run_ended ON dataflows.run (finished_at, run) WHERE finished_at IS NOT NULL;
CREATE INDEX page_token_expires ON dataflows.page_token (expires_at);
-- what a run has not taken is counted
CREATE INDEX inbox_waiting ON dataflows.inbox (run, id) WHERE run IS NOT NULL AND state <> 'done';
