-- A task has labels: JSON of texts by name.

-- A new column waits for each open transaction on the table, such as a dump, and every other statement on the table waits behind it.
-- So the lock is tried for 100 ms at a time: statements of programs that run meanwhile wait no longer than that.
DO $$
DECLARE
  usual text := current_setting('lock_timeout');
BEGIN
  PERFORM set_config('lock_timeout', '100ms', true);
  LOOP
    BEGIN
      LOCK TABLE tasktrack.tasks IN ACCESS EXCLUSIVE MODE;
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      PERFORM pg_sleep(0.5);
    END;
  END LOOP;
  PERFORM set_config('lock_timeout', usual, true);
END $$;

-- A constant default rewrites no row. Programs of the versions before leave the column out.
ALTER TABLE tasktrack.tasks ADD COLUMN labels text NOT NULL DEFAULT '{}';

-- As before, with the labels.
CREATE OR REPLACE FUNCTION tasktrack.text_size(task tasktrack.tasks) RETURNS bigint LANGUAGE sql IMMUTABLE AS
$$ SELECT (500 + octet_length(task.name) + octet_length(task.description) + octet_length(task.labels)
     + coalesce(octet_length(task.payload), 0) + coalesce(octet_length(task.result), 0) + octet_length(task.attempts))::bigint $$;
