/* a handler has its time in sessions, too */
COMMENT ON FUNCTION dataflows.receive_webhook(text, jsonb, bytea) IS
'A delivery to a webhook, by SQL, for any gateway: verified and carried out as if it had come by HTTP, in this transaction. Answer the sender after the commit.
headers: an object of strings; the case of names does not matter. Returns {"status": the HTTP status, and "run", "ignored" or "error"}; what is wrong with a delivery is an answer, not an error. A handler runs with search_path "$user", public of the webhook''s creator, whatever the caller''s is, and is cancelled after dataflows.handler_timeout; one that goes on all the same ends the session.
For whom EXECUTE is granted to: nobody by default. Errors: 22004 (NULL), 25006 (read-only transaction).';
