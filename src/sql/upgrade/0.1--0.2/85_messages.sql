/* all kinds that there are: pause() and resume() leave a row as well */
COMMENT ON COLUMN dataflows.inbox.kind IS 'signal, cancel, retry, undo, abandon or resolve; child: a run that this one called has ended; pause or resume: a record of what was done to a workflow or to the database';
