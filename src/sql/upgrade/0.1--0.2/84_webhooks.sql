/* webhooks of vendors */
ALTER TABLE dataflows.webhook ADD COLUMN preset text;

CREATE FUNCTION dataflows.create_webhook(path text, starts text DEFAULT NULL,
	signals text DEFAULT NULL, event text DEFAULT NULL, key text DEFAULT NULL,
	verify text DEFAULT 'none', secret text DEFAULT NULL, filter text DEFAULT NULL,
	handler text DEFAULT NULL, preset text DEFAULT NULL, inserts text DEFAULT NULL)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME',
		'dataflows_create_webhook';

CREATE OR REPLACE VIEW dataflows.webhooks WITH (security_barrier) AS
	SELECT w.path, w.starts, w.signals, w.event, w.key, w.verify, w.secret AS secret_of, w.filter,
		w.handler, w.owner_name AS owner, w.created_at,
		d.deliveries, d.ignored, d.last_at, w.preset
	FROM dataflows.webhook w
	LEFT JOIN LATERAL (SELECT pg_catalog.count(*) AS deliveries, pg_catalog.count(*)
		FILTER (WHERE x.outcome = 'ignored') AS ignored,
			pg_catalog.max(x.at) AS last_at
		FROM dataflows.webhook_delivery x WHERE x.path = w.path) d ON true
	WHERE dataflows._sees(w.owner, w.owner_name, w.owner_name) IS NOT NULL;
