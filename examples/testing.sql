-- For tests of workflows with pgTAP: include it (\ir) within the transaction of the test. Each
-- function runs the workflow by dataflows.simulate(), is one test, and shows what happened if the
-- test fails. docs/testing.md explains them.

-- after an error nothing that follows can be told
\set ON_ERROR_STOP on

DO $$
BEGIN
  IF to_regprocedure('diag(text)') IS NULL THEN
    RAISE EXCEPTION 'pgTAP is not there' USING HINT = 'As superuser: CREATE EXTENSION pgtap; its '
      || 'schema must be in search_path.';
  ELSIF NOT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) THEN
    RAISE EXCEPTION 'role "%" may create nothing in schema "%"', current_user, current_schema()
      USING HINT = 'Begin the file with SET search_path = SCHEMA, public; and the name of a schema '
      || 'in which it may.';
  END IF;
END $$;

-- that a run which fails has left replies unused is no news; if it completes, a WARNING says so
SET LOCAL client_min_messages = warning;

-- what happened, a line for each row of simulate(): step, kind, outcome
CREATE FUNCTION story(workflow text, input jsonb, replies jsonb DEFAULT '{}',
  crash_after int DEFAULT NULL) RETURNS text[] LANGUAGE sql AS $$
  SELECT array_agg(concat_ws(' ', step, kind, outcome) ORDER BY n)
    FROM dataflows.simulate(workflow, input, replies, crash_after)
$$;

-- the same for a person: with the times, and the words for what went wrong; what happens many times
-- in a row is one line
CREATE FUNCTION story_told(workflow text, input jsonb, replies jsonb,
  crash_after int DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT diag(string_agg(line, E'\n' ORDER BY first))
    FROM (SELECT min(n) AS first, concat_ws(' ', min(at), what,
            CASE WHEN count(*) > 1 THEN format('(%s times, the last at %s)', count(*), max(at)) END)
            AS line
          FROM (SELECT n, at, what, n - row_number() OVER (PARTITION BY what ORDER BY n) AS together
                FROM dataflows.simulate(workflow, input, replies, crash_after),
                  concat_ws(' ', step, kind, outcome,
                    '- ' || coalesce(output->>'message', output->>'reason')) AS what) AS rows
          GROUP BY what, together) AS lines
$$;

-- exactly this happens
CREATE FUNCTION happens(workflow text, input jsonb, replies jsonb, lines text[], what text)
  RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  good bool := story(workflow, input, replies) = lines;
BEGIN
  RETURN ok(good, what) || CASE WHEN good THEN ''
    ELSE E'\n' || story_told(workflow, input, replies) END;
END $$;

-- the run completes, and nothing is undone
CREATE FUNCTION completes(workflow text, input jsonb, replies jsonb, what text)
  RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  good bool := (SELECT bool_or(kind = 'run' AND outcome = 'completed')
      AND NOT bool_or(kind = 'undo')
    FROM dataflows.simulate(workflow, input, replies));
BEGIN
  RETURN ok(good, what) || CASE WHEN good THEN ''
    ELSE E'\n' || story_told(workflow, input, replies) END;
END $$;

-- the run is rolled back: these steps are undone, in this order, and no others
CREATE FUNCTION undoes(workflow text, input jsonb, replies jsonb, steps text[], what text)
  RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  good bool := (SELECT bool_or(kind = 'run' AND outcome = 'rolled_back') AND steps = coalesce(
      array_agg(step ORDER BY n) FILTER (WHERE kind = 'undo' AND outcome <> 'retry'), '{}')
    FROM dataflows.simulate(workflow, input, replies));
BEGIN
  RETURN ok(good, what) || CASE WHEN good THEN ''
    ELSE E'\n' || story_told(workflow, input, replies) END;
END $$;

-- the run is stuck because of this step
CREATE FUNCTION needs_a_person(workflow text, input jsonb, replies jsonb, at_step text, what text)
  RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  good bool := (SELECT bool_or(kind = 'run' AND outcome = 'stuck')
      AND ((array_agg(outcome ORDER BY n DESC) FILTER (WHERE step = at_step))[1]
          IN ('failed', 'in_doubt', 'stuck', 'undo_failed')
        OR bool_or(kind = 'run' AND strpos(output->>'reason', '"' || at_step || '"') > 0))
    FROM dataflows.simulate(workflow, input, replies));
BEGIN
  RETURN ok(good, what) || CASE WHEN good THEN ''
    ELSE E'\n' || story_told(workflow, input, replies) END;
END $$;

-- wherever the worker crashes, the run ends as without a crash: in the same state, with the same
-- steps undone
CREATE FUNCTION survives_crashes(workflow text, input jsonb, replies jsonb, what text)
  RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  ends text[] := _endings(workflow, input, replies, NULL);
  n    int := 0;
BEGIN
  IF NOT ends && '{run completed,run rolled_back}' THEN
    RETURN ok(false, what) || E'\n' || diag('without a crash:') || E'\n' ||
      story_told(workflow, input, replies);
  END IF;
  LOOP
    n := n + 1;
    -- it is no more reached
    EXIT WHEN NOT EXISTS (SELECT FROM dataflows.simulate(workflow, input, replies, n)
      WHERE kind = 'crash');
    IF _endings(workflow, input, replies, n) IS DISTINCT FROM ends THEN
      RETURN ok(false, what) || E'\n' || diag('a crash after request ' || n || ':') || E'\n' ||
        story_told(workflow, input, replies, n);
    END IF;
  END LOOP;
  RETURN ok(n > 1, what);
END $$;

CREATE FUNCTION _endings(workflow text, input jsonb, replies jsonb, crash_after int)
  RETURNS text[] LANGUAGE sql AS $$
  SELECT array_agg(concat_ws(' ', step, kind, outcome) ORDER BY n)
    FROM dataflows.simulate(workflow, input, replies, crash_after)
   WHERE kind = 'run' OR (kind = 'undo' AND outcome <> 'retry')
$$;

-- with something going wrong at each step in turn, nothing is left behind that nobody undoes, and
-- nothing is made twice; see simulate_all()
CREATE FUNCTION leaves_nothing(workflow text, input jsonb, replies jsonb, what text)
  RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  bad text := (SELECT string_agg(concat_ws(', ', a.what, a.state,
      'left behind: ' || nullif(array_to_string(a.left_behind, ', '), '')), E'\n')
    FROM dataflows.simulate_all(workflow, input, replies) a
   WHERE a.left_behind <> '{}'
      OR (a.what = 'as it is' AND a.state NOT IN ('completed', 'rolled_back')));
BEGIN
  RETURN ok(bad IS NULL, what) || CASE WHEN bad IS NULL THEN '' ELSE E'\n' || diag(bad) END;
END $$;
