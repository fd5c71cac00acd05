-- Run as superuser in an empty database, when there is a role app that may log in, with
-- -v identity=URL -v billing=URL -v crm=URL -v email=URL.

CREATE EXTENSION dataflows;

-- app owns the tables and the workflow, and its body runs as app; web is what the website connects
-- as
CREATE ROLE web LOGIN;
GRANT CREATE ON SCHEMA public TO app;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;

-- Each system as it is: only here stands what one can rely on. allow_private is for the test
-- systems on
-- loopback; the short times are for a story that is told in seconds.

CREATE SERVER identity FOREIGN DATA WRAPPER dataflows OPTIONS (url :'identity', allow_private
  'true',
  retry_initial '100ms');

-- like Stripe: form bodies, a[b]=c for what is nested, and idempotency keys that can be trusted
CREATE SERVER billing FOREIGN DATA WRAPPER dataflows OPTIONS (url :'billing', allow_private 'true',
  encoding 'form', idempotency_header 'Idempotency-Key', retry_initial '100ms');
CREATE USER MAPPING FOR app SERVER billing OPTIONS (bearer_token 'sk_test_example');

-- honours no keys (none is sent): after a lost answer only a look can tell
CREATE SERVER crm FOREIGN DATA WRAPPER dataflows OPTIONS (url :'crm', allow_private 'true',
  idempotency_header '', retry_initial '100ms', settle '200ms');

CREATE SERVER email FOREIGN DATA WRAPPER dataflows OPTIONS (url :'email', allow_private 'true',
  retry_initial '100ms');

GRANT USAGE ON FOREIGN SERVER identity, billing, crm, email TO app;
