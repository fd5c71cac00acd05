-- Run as superuser in an empty database that cron.database_name names, when there is a role app
-- that may log in, with -v crm=URL -v smtp=URL.

CREATE EXTENSION dataflows;
CREATE EXTENSION pg_cron;

-- app owns tables and workflows, and needs no right in pg_cron
GRANT CREATE ON SCHEMA public TO app;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;

CREATE SERVER crm FOREIGN DATA WRAPPER dataflows OPTIONS (url :'crm', allow_private 'true',
  idempotency_header 'Idempotency-Key', retry_initial '100ms');

-- a mail server; the one of this example knows no STARTTLS, which only a superuser may allow
CREATE SERVER mail FOREIGN DATA WRAPPER dataflows OPTIONS (url :'smtp', allow_private 'true',
  starttls 'off',
  retry_initial '100ms');
GRANT USAGE ON FOREIGN SERVER crm, mail TO app;
