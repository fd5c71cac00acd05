/*
 * functions that get other arguments: dropped here, made anew by the pieces that follow, and
 * granted to whom they were granted by the last one
 */
CREATE FUNCTION dataflows._replace_functions(names text[]) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_replace_functions';
SELECT dataflows._replace_functions(ARRAY[
	'abandon',
	'await',
	'cancel',
	'create_webhook',
	'define_workflow',
	'delete',
	'event_url',
	'get',
	'http',
	'on_rollback',
	'patch',
	'pause',
	'post',
	'put',
	'resolve',
	'restart',
	'resume',
	'retry',
	'signal',
	'signal_by_key',
	'undo',
	'wait_any'
]);
DROP FUNCTION dataflows._replace_functions(text[]);
