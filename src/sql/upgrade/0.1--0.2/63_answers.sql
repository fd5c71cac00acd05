-- what a response means is data: a step remembers what its last one meant
ALTER TABLE dataflows.step ADD COLUMN meaning text;

-- what 0.1 read from the status, of steps that go on; a refusal and a body that could not be read
UPDATE dataflows.step AS s SET
	meaning = CASE WHEN s.status BETWEEN 200 AND 299 THEN 'unusable' ELSE 'fail' END
FROM dataflows.run AS r
WHERE r.run = s.run AND r.finished_at IS NULL AND s.kind = 'http' AND s.attempts > 0
	AND ((s.state = 'in_doubt' AND s.status BETWEEN 200 AND 299)
		OR (s.state IN ('pending', 'in_doubt') AND s.status BETWEEN 300 AND 499
			AND s.status NOT IN (401, 403, 408, 425, 429)));

-- in 0.1 a 2xx was never "accepted": what such a step has made is undone
UPDATE dataflows.step AS s SET
	options = jsonb_set(s.options, '{accept}', coalesce(
		(SELECT jsonb_agg(a.status) FROM jsonb_array_elements(s.options -> 'accept') AS a (status)
			WHERE a.status::int NOT BETWEEN 200 AND 299), '[]'))
FROM dataflows.run AS r
WHERE r.run = s.run AND r.finished_at IS NULL AND s.kind = 'http'
	AND s.state <> 'done' AND jsonb_typeof(s.options -> 'accept') = 'array';

CREATE TABLE dataflows.proven_step (
	workflow text NOT NULL,
	version int NOT NULL,
	body_hash bigint NOT NULL,
	step_hash bigint NOT NULL,
	PRIMARY KEY (workflow, version, body_hash, step_hash)
);
SELECT pg_catalog.pg_extension_config_dump('dataflows.proven_step', '');
