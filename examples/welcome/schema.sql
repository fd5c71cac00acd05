-- Run as superuser in an empty database, when there is a role app that may log in, with
-- -v auth0=URL -v stripe=URL -v hubspot=URL -v sendgrid=URL.

CREATE EXTENSION dataflows;
CREATE EXTENSION dataflows_auth0;
CREATE EXTENSION dataflows_stripe;
CREATE EXTENSION dataflows_hubspot;
CREATE EXTENSION dataflows_sendgrid;

-- app owns the table and the workflow, and its body runs as app; web is what the website connects
-- as
CREATE ROLE web LOGIN;
GRANT CREATE ON SCHEMA public TO app;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;

-- connect() knows what the vendor documents. The urls and these options are for the test systems on
-- loopback, and for a story that is told in seconds: with the vendors themselves leave them out.
\set here '{"allow_private": "true", "retry_initial": "100ms", "settle": "200ms"}'

SELECT auth0.connect(domain => 'acme.example.com', url => :'auth0', options => :'here');
SELECT stripe.connect(url => :'stripe', options => :'here');
SELECT hubspot.connect(url => :'hubspot', options => :'here');
SELECT sendgrid.connect(url => :'sendgrid', options => :'here');

-- Secrets are in the mappings of the workflow's owner alone. An owner that makes the systems itself
-- gives them to connect(), which makes its mapping: stripe.connect(api_key => 'sk_live_...').
\set token_url :auth0 '/oauth/token'
CREATE USER MAPPING FOR app SERVER auth0 OPTIONS (oauth_token_url :'token_url',
  client_id 'the client', client_secret 'hush');
CREATE USER MAPPING FOR app SERVER stripe OPTIONS (bearer_token 'sk_test_hush');
CREATE USER MAPPING FOR app SERVER hubspot OPTIONS (bearer_token 'pat-hush');
CREATE USER MAPPING FOR app SERVER sendgrid OPTIONS (bearer_token 'SG.hush');

GRANT USAGE ON FOREIGN SERVER auth0, stripe, hubspot, sendgrid TO app;
