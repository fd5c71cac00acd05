/* the functions that were made anew belong and are granted to whom they were before */
CREATE FUNCTION dataflows._functions_replaced() RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_functions_replaced';
SELECT dataflows._functions_replaced();
DROP FUNCTION dataflows._functions_replaced();
