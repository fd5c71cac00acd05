--
-- systems: the options of servers and user mappings of the wrapper dataflows
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
CREATE ROLE regress_df_systems;
GRANT USAGE ON FOREIGN DATA WRAPPER dataflows TO regress_df_systems;

-- what comes of a command, with all that the error says; no error may quote the value "hunter2"
CREATE FUNCTION pg_temp.attempt(what text, command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
	answer text;
BEGIN
	EXECUTE command;
	RETURN what || ': ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	answer := concat_ws(' | ', SQLSTATE, message, nullif(detail, ''), hint);
	RETURN what || ': ' || CASE WHEN answer LIKE '%hunter2%' THEN 'LEAKS ' ELSE '' END || answer;
END $$;
CREATE FUNCTION pg_temp.server(name text, value text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.attempt(format('%s %L', name, value),
		format('CREATE SERVER df_x FOREIGN DATA WRAPPER dataflows OPTIONS (%s%I %L)',
			CASE WHEN name <> 'url' THEN 'url ''https://example.com'', ' ELSE ''
				END, name, value)) $$;
CREATE FUNCTION pg_temp.mapping(options text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.attempt(options,
		format('CREATE USER MAPPING FOR regress_df_systems SERVER df_system OPTIONS (%s)', options))
			$$;
\pset format unaligned
\pset tuples_only on

SELECT fdwhandler = 0 AS no_handler, fdwvalidator::regproc, obj_description(oid,
  'pg_foreign_data_wrapper')
	FROM pg_foreign_data_wrapper WHERE fdwname = 'dataflows';

-- every option of a server
CREATE SERVER df_system FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://api.example.com/v1',
  timeout '30s',
	connect_timeout '100ms', encoding 'form', "header.X-Api-Version" '2026-01-01',
		idempotency_header 'Idempotency-Key',
	idempotency_ttl '24h', max_concurrency '32', rate_limit '100/s', breaker_failures '5',
		breaker_cooldown '30',
	retry_max_attempts '0', retry_initial '1s', retry_max '5min', retry_for '1d', settle '0',
		max_body '1MB',
	ca_file '/etc/ssl/ca.pem', allow_private 'true', follow_redirects '3');
ALTER SERVER df_system OPTIONS (SET timeout '1.5min', SET rate_limit '0.5/min',
  SET idempotency_header '', DROP retry_for);

-- url: required, and usable
CREATE SERVER df_x FOREIGN DATA WRAPPER dataflows;
ALTER SERVER df_system OPTIONS (DROP url);
BEGIN;
CREATE SERVER df_x1 FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://[::1]:8080/');
CREATE SERVER df_x2 FOREIGN DATA WRAPPER dataflows OPTIONS (url 'smtp://mail.example.com:587');
CREATE SERVER df_x3 FOREIGN DATA WRAPPER dataflows OPTIONS (url 'smtps://mail.example.com/');
CREATE SERVER df_x4 FOREIGN DATA WRAPPER dataflows OPTIONS (url 'smtp://[2001:db8::1]:25');
ROLLBACK;
SELECT pg_temp.server('url', v) FROM unnest(ARRAY['', 'example.com', 'ftp://example.com',
  'file:///etc/passwd', 'https://',
	'https://ada:hunter2@example.com', 'https://example.com/?key=hunter2', 'https://example.com/#a',
		'https://example.com/../x',
	E'https://example.com/\nX: y', 'smtp://', 'smtp://ada:hunter2@example.com',
		'smtp://example.com:0', 'smtp://example.com/x',
	'smtp://[::1', 'smtp://[]:25']) v;

-- malformed values name the option and say what is valid
SELECT pg_temp.server(name, value) FROM (VALUES
	('timeout', 'soon'), ('timeout', '0'), ('timeout', '-1s'), ('timeout', '30 fortnights'),
		('timeout', '25h'), ('timeout', 'nan'),
	('connect_timeout', ''), ('idempotency_ttl', 'inf'), ('settle', '31d'), ('breaker_cooldown',
		'0'),
	('encoding', 'xml'), ('encoding', 'JSON'),
	('max_concurrency', '0'), ('max_concurrency', 'many'), ('max_concurrency', '99999999999'),
		('retry_max_attempts', '-1'),
	('breaker_failures', '-1'), ('follow_redirects', '21'),
	('rate_limit', '100'), ('rate_limit', '0/s'), ('rate_limit', '-1/s'), ('rate_limit', '1/day'),
		('rate_limit', '1e3/s'),
	('rate_limit', '1.2.3/s'), ('rate_limit', '/s'), ('rate_limit', '9999999999/s'),
	('max_body', '0'), ('max_body', '1GB'), ('max_body', '1 bushel'),
	('allow_private', 'perhaps'), ('ca_file', 'ca.pem'), ('ca_file', ''),
	('idempotency_header', 'Idempotency Key'), ('idempotency_header', 'Host'),
	('idempotency_header', 'authorization'), ('retry_initial', '10min'), ('retry_max', '100ms'))
		AS t (name, value);
BEGIN;
CREATE SERVER df_x1 FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://example.com',
  timeout ' 5 s ', rate_limit '3600/h',
	allow_private 'off', max_body '64kB', idempotency_header 'X-Request-Key', retry_initial '10min',
		retry_max '1h');
ROLLBACK;

-- headers
SELECT pg_temp.server(name, value) FROM (VALUES
	('header.Host', 'x'), ('header.content-length', '1'), ('header.Transfer-Encoding', 'chunked'),
		('header.Connection', 'close'),
	('header.', 'x'), ('header.X Y', 'x'), ('header.X:', 'x'), (E'header.X\r\nHost', 'x'),
		('header.Ü', 'x'),
	('header.X-A', E'hunter2\r\nHost: x'), ('header.X-A', E'hunter2\nx'), ('header.X-A',
		E'hunter2\x01'), ('header.X-A', ''),
	('header.X-A', ' x'), ('header.Idempotency-Key', '1'), ('header.Authorization',
		'Bearer hunter2'), ('header.cookie', 'hunter2'),
	('Header.X', 'x'), ('headers', 'x')) AS t (name, value);
ALTER SERVER df_system OPTIONS ("header.x-api-version" '2');
ALTER SERVER df_system OPTIONS (SET idempotency_header 'x-api-version');

-- unknown names: the nearest one, the other object, or the list
SELECT pg_temp.server(name, 'x') FROM unnest(ARRAY['timout', 'URL ', 'Retry-Max', 'retries',
  'bearer_token', 'bearertoken', 'secret', 'redirects', 'frobnicate', 'x', 'host']) AS name;
CREATE USER MAPPING FOR regress_df_systems SERVER df_system OPTIONS (url 'https://example.com');
CREATE USER MAPPING FOR regress_df_systems SERVER df_system OPTIONS (user 'ada');
CREATE USER MAPPING FOR regress_df_systems SERVER df_system OPTIONS (frobnicate '1');
ALTER FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://example.com');
CREATE FOREIGN TABLE df_table (i int) SERVER df_system;

-- credentials
SELECT pg_temp.mapping(options) FROM unnest(ARRAY[
	$$username 'ada'$$, $$password 'hunter2'$$, $$oauth_token_url
		'https://auth.example.com/token'$$,
	$$oauth_token_url 'https://auth.example.com/token', client_id 'a'$$, $$client_secret
		'hunter2'$$, $$scope 'read'$$,
	$$client_cert '/a.pem'$$, $$client_key '/a.key'$$, $$webhook_secret_old 'hunter2'$$,
	$$bearer_token 'a', username 'ada', password 'hunter2'$$, $$bearer_token 'a',
		"header.authorization" 'Basic x'$$,
	$$bearer_token 'hunter2', oauth_token_url 'https://auth.example.com/token', client_id 'a',
		client_secret 'hunter2'$$]) AS options;
SELECT pg_temp.mapping(format('%I %L', name, value)) FROM (VALUES
	('bearer_token', 'hunter2 x'), ('bearer_token', E'hunter2\r\nX: y'), ('bearer_token', ''),
		('username', 'ada:hunter2'),
	('password', E'hunter2\n'), ('oauth_token_url', 'https://ada:hunter2@example.com/'),
		('oauth_token_url', 'smtp://hunter2'),
	('client_secret', E'hunter2\n'), ('client_secret', ''), ('scope', E'hunter2\r\nX: y'),
	('client_cert', 'hunter2.pem'), ('webhook_secret', E'hunter2\t'), ('header.X-Key',
		E'hunter2\r\nX: y'), ('pasword', 'hunter2'),
	('header.Host', 'hunter2')) AS t (name, value);
CREATE USER MAPPING FOR regress_df_systems SERVER df_system OPTIONS (username 'ada',
  password ' hunter:2 ü ', "header.X-Key" 'k',
	"header.X-Api-Version" '3', webhook_secret 'one', webhook_secret_old 'two',
		client_cert '/a.pem', client_key '/a.key');
ALTER USER MAPPING FOR regress_df_systems SERVER df_system OPTIONS (DROP password);
ALTER USER MAPPING FOR regress_df_systems SERVER df_system OPTIONS (DROP username, DROP password,
	ADD oauth_token_url 'https://auth.example.com/token', ADD client_id 'a', ADD client_secret 'b',
		ADD scope 'read write');
DROP USER MAPPING FOR regress_df_systems SERVER df_system;
CREATE USER MAPPING FOR regress_df_systems SERVER df_system OPTIONS (username 'sk_test',
  password '');
DROP USER MAPPING FOR regress_df_systems SERVER df_system;
CREATE USER MAPPING FOR PUBLIC SERVER df_system OPTIONS ("header.Authorization" 'Token token=x');
CREATE USER MAPPING FOR regress_df_systems SERVER df_system;

-- what opens the server's own files and networks is for superusers
ALTER SERVER df_system OWNER TO regress_df_systems;
SET ROLE regress_df_systems;
ALTER SERVER df_system OPTIONS (SET url 'https://other.example.com');
ALTER SERVER df_system OPTIONS (DROP ca_file);
CREATE SERVER df_own FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://127.0.0.1:1', allow_private
  'true');
CREATE SERVER df_own FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://example.com',
  ca_file '/etc/ssl/ca.pem');
CREATE SERVER df_own FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://example.com',
  allow_private 'false');
CREATE USER MAPPING FOR CURRENT_USER SERVER df_own OPTIONS (client_cert '/a.pem',
  client_key '/a.key');
CREATE USER MAPPING FOR CURRENT_USER SERVER df_own OPTIONS (bearer_token 'x');
ALTER SERVER df_system OPTIONS (DROP ca_file, DROP allow_private);
ALTER SERVER df_system OPTIONS (SET url 'https://other.example.com');
SELECT dataflows.fdw_validator('{}', 'pg_foreign_server'::regclass);
RESET ROLE;

SET client_min_messages = warning;
DROP SERVER df_own CASCADE;
DROP SERVER df_system CASCADE;
REVOKE USAGE ON FOREIGN DATA WRAPPER dataflows FROM regress_df_systems;
DROP ROLE regress_df_systems;
