-- Run as superuser in an empty database, when there is a role app that may log in, with
-- -v identity=URL -v billing=URL -v crm=URL -v email=URL.

CREATE EXTENSION dataflows;

-- app owns tables and workflow; web takes the applications in; grace of sales reviews them; bank is
-- the payment feed
CREATE ROLE web LOGIN;
CREATE ROLE sales;
CREATE ROLE grace LOGIN IN ROLE sales;
CREATE ROLE bank LOGIN;
GRANT CREATE ON SCHEMA public TO app;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;

CREATE SERVER identity FOREIGN DATA WRAPPER dataflows OPTIONS (url :'identity', allow_private
  'true',
  idempotency_header 'Idempotency-Key', retry_initial '100ms');
CREATE SERVER billing FOREIGN DATA WRAPPER dataflows OPTIONS (url :'billing', allow_private 'true',
  encoding 'form', idempotency_header 'Idempotency-Key', retry_initial '100ms');
CREATE SERVER crm FOREIGN DATA WRAPPER dataflows OPTIONS (url :'crm', allow_private 'true',
  idempotency_header 'Idempotency-Key', retry_initial '100ms');
CREATE SERVER email FOREIGN DATA WRAPPER dataflows OPTIONS (url :'email', allow_private 'true',
  idempotency_header 'Idempotency-Key', retry_initial '100ms');
GRANT USAGE ON FOREIGN SERVER identity, billing, crm, email TO app;
