/* the state of an engine whose library is of another version */
COMMENT ON FUNCTION dataflows.status() IS
'Is the engine running in this database, per process and owner; what does each wait for; why not. The first row is the engine as a whole: running, not loaded, standby, not running, idle, outdated, held, paused, aside or degraded (it runs, but something of it is tried in vain: see the reason). An owner without a worker has a row that says why.';
