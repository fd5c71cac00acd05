/* http() and its short forms: undo and probe are text or jsonb; answers and options are new */
CREATE FUNCTION dataflows.http(step text, system name, method text, path text,
	body jsonb DEFAULT NULL, query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL,
	undo "any" DEFAULT NULL, undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL,
	probe_found text DEFAULT NULL, probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL,
	accept int[] DEFAULT NULL, until text DEFAULT NULL, every interval DEFAULT '30 s',
	until_timeout interval DEFAULT NULL, retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL,
	wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_http';
CREATE FUNCTION dataflows.get(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo "any" DEFAULT NULL,
	undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL, probe_found text DEFAULT NULL,
	probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL, accept int[] DEFAULT NULL,
	until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_get';
CREATE FUNCTION dataflows.post(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo "any" DEFAULT NULL,
	undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL, probe_found text DEFAULT NULL,
	probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL, accept int[] DEFAULT NULL,
	until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_post';
CREATE FUNCTION dataflows.put(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo "any" DEFAULT NULL,
	undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL, probe_found text DEFAULT NULL,
	probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL, accept int[] DEFAULT NULL,
	until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_put';
CREATE FUNCTION dataflows.patch(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo "any" DEFAULT NULL,
	undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL, probe_found text DEFAULT NULL,
	probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL, accept int[] DEFAULT NULL,
	until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_patch';
CREATE FUNCTION dataflows.delete(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo "any" DEFAULT NULL,
	undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL, probe_found text DEFAULT NULL,
	probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL, accept int[] DEFAULT NULL,
	until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_delete';
