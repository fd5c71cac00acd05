-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dataflows_stripe" to load this file. \quit

SELECT dataflows._guard_connector('stripe');
GRANT USAGE ON SCHEMA stripe TO PUBLIC;
COMMENT ON SCHEMA stripe IS 'Stripe in workflows, see connectors/stripe/README.md of dataflows';

CREATE FUNCTION stripe.connect(server name DEFAULT 'stripe', api_key text DEFAULT NULL,
	webhook_secret text DEFAULT NULL, version text DEFAULT NULL,
	url text DEFAULT 'https://api.stripe.com', options jsonb DEFAULT '{}')
	RETURNS void LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.connect_system(server,
		jsonb_build_object('url', url, 'encoding', 'form', 'form_arrays', 'indices',
			'idempotency_header', 'Idempotency-Key', 'idempotency_ttl', '24h',
			'settle', '60s')
		|| CASE WHEN api_key IS NULL THEN '{}' ELSE jsonb_build_object('rate_limit',
			CASE WHEN api_key ~ '^.k_live_' THEN '100/s' ELSE '25/s' END) END
		|| CASE WHEN version IS NULL THEN '{}'
			ELSE jsonb_build_object('header.Stripe-Version', version) END
		|| coalesce(options, '{}'),
		nullif(jsonb_strip_nulls(jsonb_build_object('bearer_token', api_key,
			'webhook_secret', webhook_secret)), '{}'))
$$;
COMMENT ON FUNCTION stripe.connect(name, text, text, text, text, jsonb) IS
'Makes the system, a SERVER with what Stripe documents, and your USER MAPPING; called again, it '
'brings both up to date. Grants nothing: another owner needs USAGE on the server and a '
'mapping.
server: its name. api_key: a secret or restricted key, sk_... or rk_...; NULL leaves the one '
'that is there. webhook_secret: whsec_... of the endpoint. version: the API version that is '
'asked for (2024-06-20); NULL: that of the account. url: another one for a test. options: '
'further options of the SERVER, over those of this function; null drops one.
Errors: those of dataflows.connect_system().';

CREATE FUNCTION stripe._marks(metadata jsonb, step text) RETURNS jsonb
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(metadata, '{}') || jsonb_strip_nulls(jsonb_build_object(
		'dataflows_run', dataflows.run_id(), 'dataflows_step', step,
		'dataflows_key', CASE WHEN length(dataflows.run_key()) <= 500 THEN dataflows.run_key() END))
$$;
COMMENT ON FUNCTION stripe._marks(jsonb, text) IS
	'Internal: metadata that says which run and step made something, for probes and webhooks';

CREATE FUNCTION stripe._probe(request text, step text) RETURNS jsonb
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('request', format('GET %s&limit=100&created%%5Bgte%%5D=%s', request,
		floor(extract(epoch FROM dataflows.run_started_at()))::bigint - 300),
		'headers', '{"X-Dataflows-Run": "{run}"}'::jsonb)
$$;
COMMENT ON FUNCTION stripe._probe(text, text) IS
	'Internal: a probe that lists what was made since the run began; lists do not lag, searches '
	'do. The header says that what it finds is the run''s, see _found()';

CREATE FUNCTION stripe._found(step text) RETURNS text
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('$.data[*] ? (@.metadata.dataflows_run == "%s" '
		'&& @.metadata.dataflows_step == %s)',
		dataflows.run_id(), to_json(step))
$$;
COMMENT ON FUNCTION stripe._found(text) IS 'Internal: what of a list this step of this run made';

CREATE FUNCTION stripe.create_customer(step text, email text, name text DEFAULT NULL,
	metadata jsonb DEFAULT NULL, more jsonb DEFAULT NULL, undo text DEFAULT NULL,
	wait boolean DEFAULT true, system name DEFAULT 'stripe')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/v1/customers',
		jsonb_strip_nulls(jsonb_build_object('email', email, 'name', name))
			|| coalesce(more, '{}')
			|| jsonb_build_object('metadata', stripe._marks(metadata, step)),
		undo => coalesce(undo, 'DELETE /v1/customers/{id}'),
		probe => stripe._probe('/v1/customers?email={request.email}', step),
		probe_found => stripe._found(step), wait => wait)
$$;
COMMENT ON FUNCTION stripe.create_customer(text, text, text, jsonb, jsonb, text, boolean, name) IS
'Makes a customer (POST /v1/customers) and returns it. Undo: it is deleted. Stripe allows '
'several customers with one email; see find_customer().
step: name of the step; two calls of one run with one email need two names. email, name: of '
'the customer. metadata: an object of strings; dataflows_run, dataflows_step and dataflows_key '
'(the run''s key, for webhooks) are added. more: further fields of the request ({"phone": ...}). '
'undo: another one, or none. wait: false: go on at once. system: the SERVER.
Errors: those of dataflows.http().';

CREATE FUNCTION stripe.find_customer(step text, email text, system name DEFAULT 'stripe')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.get(step, system, '/v1/customers',
		query => jsonb_build_object('email', email, 'limit', 1)) -> 'data' -> 0
$$;
COMMENT ON FUNCTION stripe.find_customer(text, text, name) IS
'The newest customer with this email (GET /v1/customers), NULL if there is none. It is a list, '
'which does not lag; the case of letters counts.
step: name of the step. email: the address. system: the SERVER. Errors: those of '
'dataflows.http().';

CREATE FUNCTION stripe.get_customer(step text, customer text, system name DEFAULT 'stripe')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT nullif(dataflows.get(step, system, dataflows.url('/v1/customers/%s', customer)), '{}')
$$;
COMMENT ON FUNCTION stripe.get_customer(text, text, name) IS
'A customer by its id (GET /v1/customers/{id}). A deleted one is {"id", "object", "deleted": '
'true}, not a 404.
step: name of the step. customer: its id, cus_... system: the SERVER. Errors: those of '
'dataflows.http().';

CREATE FUNCTION stripe.update_customer(step text, customer text, changes jsonb,
	previous jsonb DEFAULT NULL, wait boolean DEFAULT true, system name DEFAULT 'stripe')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, dataflows.url('/v1/customers/%s', customer), changes,
		undo => CASE WHEN previous IS NULL THEN 'none'
			ELSE 'POST ' || dataflows.url('/v1/customers/%s', customer) END,
		undo_body => dataflows.verbatim(previous), wait => wait)
$$;
COMMENT ON FUNCTION stripe.update_customer(text, text, jsonb, jsonb, boolean, name) IS
'Changes a customer (POST /v1/customers/{id}) and returns it. Undo: what previous says, without '
'it none.
step: name of the step. customer: its id. changes: fields of the request; "" empties one. '
'previous: the values to which a rollback sets them back. wait: false: go on at once. system: '
'the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION stripe.delete_customer(step text, customer text, wait boolean DEFAULT true,
	system name DEFAULT 'stripe')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.delete(step, system, dataflows.url('/v1/customers/%s', customer), wait => wait)
$$;
COMMENT ON FUNCTION stripe.delete_customer(text, text, boolean, name) IS
'Deletes a customer (DELETE /v1/customers/{id}), for good: nothing takes it back. It ends the '
'customer''s subscriptions at once. Charges, invoices and what the law wants kept stay, and the '
'id goes on to respond {"deleted": true}. One that is gone already is no error.
step: name of the step. customer: its id. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION stripe.subscribe(step text, customer text, price text, quantity int DEFAULT 1,
	trial_days int DEFAULT NULL, metadata jsonb DEFAULT NULL, more jsonb DEFAULT NULL,
	undo text DEFAULT NULL, wait boolean DEFAULT true, system name DEFAULT 'stripe')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/v1/subscriptions',
		jsonb_strip_nulls(jsonb_build_object('customer', customer,
			'items', jsonb_build_array(jsonb_build_object('price', price, 'quantity', quantity)),
			'trial_period_days', trial_days))
			|| coalesce(more, '{}')
			|| jsonb_build_object('metadata', stripe._marks(metadata, step)),
		undo => coalesce(undo, 'DELETE /v1/subscriptions/{id}'),
		probe => stripe._probe('/v1/subscriptions?customer={request.customer}&status=all', step),
		probe_found => stripe._found(step), wait => wait)
$$;
COMMENT ON FUNCTION stripe.subscribe(text, text, text, int, int, jsonb, jsonb, text, boolean,
	name) IS
'Begins a subscription (POST /v1/subscriptions) and returns it. Undo: it is cancelled at once; '
'what was paid is not paid back. 402 (a card that is declined) raises DF001.
step: name of the step. customer: its id. price: id of the price, price_... quantity: how '
'many. trial_days: days without payment. metadata: as of create_customer(). more: further '
'fields ({"payment_behavior": "default_incomplete"}). undo: another one, or none. wait: false: '
'go on at once. system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION stripe.cancel_subscription(step text, subscription text,
	at_period_end boolean DEFAULT false, wait boolean DEFAULT true, system name DEFAULT 'stripe')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN at_period_end THEN
		dataflows.post(step, system, dataflows.url('/v1/subscriptions/%s', subscription),
			'{"cancel_at_period_end": true}', undo => 'POST /v1/subscriptions/{id}',
			undo_body => '{"cancel_at_period_end": false}', wait => wait)
	ELSE
		dataflows.delete(step, system, dataflows.url('/v1/subscriptions/%s', subscription),
			wait => wait)
	END
$$;
COMMENT ON FUNCTION stripe.cancel_subscription(text, text, boolean, boolean, name) IS
'Ends a subscription and returns it. At once (DELETE /v1/subscriptions/{id}): for good, nothing '
'takes it back, and its invoices stay; one that has ended already is no error. At the end of '
'its period (POST): undo is that it goes on.
step: name of the step. subscription: its id, sub_... at_period_end: true: not before the paid '
'time is over. wait: false: go on at once. system: the SERVER. Errors: those of '
'dataflows.http().';

CREATE FUNCTION stripe.attach_payment_method(step text, payment_method text, customer text,
	wait boolean DEFAULT true, system name DEFAULT 'stripe')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system,
		dataflows.url('/v1/payment_methods/%s/attach', payment_method),
		jsonb_build_object('customer', customer), undo => 'POST /v1/payment_methods/{id}/detach',
		wait => wait)
$$;
COMMENT ON FUNCTION stripe.attach_payment_method(text, text, text, boolean, name) IS
'Gives a customer a payment method (POST /v1/payment_methods/{id}/attach) and returns it. Undo: '
'it is detached, and cannot be attached again.
step: name of the step. payment_method: its id, pm_... customer: the customer''s id. wait: '
'false: go on at once. system: the SERVER. Errors: those of dataflows.http().';
