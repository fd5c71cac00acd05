--
-- The state machines: pinned, so that no state is added or lost by accident.
-- Whoever changes flow/run_state.c or flow/step_state.c changes this too.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;

SELECT machine, from_state, event, to_state FROM dataflows.state_machine;

-- one answer to each question
SELECT machine, from_state, event FROM dataflows.state_machine
GROUP BY 1, 2, 3 HAVING count(*) <> 1;

-- each with a reason, a sentence that fits on a line
SELECT machine, from_state, event, comment FROM dataflows.state_machine
WHERE comment IS NULL OR length(comment) NOT BETWEEN 10 AND 100;

-- states that nothing leads to, and states that nothing leads out of
SELECT DISTINCT machine, from_state AS begins FROM dataflows.state_machine a
WHERE NOT EXISTS (SELECT FROM dataflows.state_machine b
                  WHERE b.machine = a.machine AND b.to_state = a.from_state
                    AND b.from_state <> b.to_state)
ORDER BY 1, 2;
SELECT DISTINCT machine, to_state AS ends FROM dataflows.state_machine a
WHERE NOT EXISTS (SELECT FROM dataflows.state_machine b
                  WHERE b.machine = a.machine AND b.from_state = a.to_state)
ORDER BY 1, 2;

-- the view and all its columns are explained
SELECT a.attname, col_description(a.attrelid, a.attnum) IS NOT NULL AS explained
FROM pg_attribute a
WHERE a.attrelid = 'dataflows.state_machine'::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- it is documentation: any role may read it, none may write it
CREATE ROLE regress_df_nobody;
SET ROLE regress_df_nobody;
SELECT count(*) > 0 AS readable,
       has_table_privilege('dataflows.state_machine', 'INSERT, UPDATE, DELETE') AS writable
FROM dataflows.state_machine;
RESET ROLE;
DROP ROLE regress_df_nobody;
