-- Tasks, their log lines, the change log, and the answers to earlier requests. Times are epoch milliseconds, as in the program.

CREATE TABLE tasktrack.meta (
  one    boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch  text    NOT NULL DEFAULT gen_random_uuid()::text,
  pruned bigint  NOT NULL DEFAULT 0 -- changes up to this rev are no longer kept, see changes.ts
);
INSERT INTO tasktrack.meta DEFAULT VALUES;

CREATE SEQUENCE tasktrack.task_id;

CREATE TABLE tasktrack.tasks (
  id                 bigint  PRIMARY KEY,
  version            integer NOT NULL DEFAULT 1,
  status             text    NOT NULL DEFAULT 'pending' COLLATE "C",
  name               text    NOT NULL,
  description        text    NOT NULL,
  type               text    NOT NULL COLLATE "C", -- byte order, so that a prefix is a range
  payload            text, -- JSON as it was sent: jsonb would lose the order of keys and the escape of NUL
  priority           integer NOT NULL,
  tags               text    NOT NULL, -- a JSON array
  key                text COLLATE "C",
  run_at             bigint  NOT NULL,
  timeout_ms         bigint,
  max_attempts       integer NOT NULL,
  backoff_base_ms    bigint  NOT NULL,
  backoff_max_ms     bigint  NOT NULL,
  created_at         bigint  NOT NULL,
  updated_at         bigint  NOT NULL,
  claims             integer NOT NULL DEFAULT 0,
  token              text COLLATE "C",
  attempt            integer NOT NULL DEFAULT 0,
  failures           integer NOT NULL DEFAULT 0,
  losses             integer NOT NULL DEFAULT 0,
  worked_ms          bigint  NOT NULL DEFAULT 0,
  attempts           text    NOT NULL DEFAULT '[]', -- a JSON array
  started_at         bigint,
  finished_at        bigint,
  progress_percent   double precision,
  progress_message   text,
  result             text, -- JSON as it was sent
  error_code         text,
  error_message      text,
  lease_worker       text,
  lease_until        bigint,
  lease_ms           bigint,
  revoke_at          bigint,
  -- values that are stored beside the task and are no part of it
  progress_logged_at bigint, -- when its progress was last in the change log
  progress_is_change boolean NOT NULL DEFAULT false, -- whether the progress of the latest heartbeat was
  lines              integer NOT NULL DEFAULT 0, -- log lines ever written
  search_text        text    NOT NULL   -- folded by core, the first 4 KiB
) WITH (
  -- Heartbeats write no indexed column: if the page has room, they are HOT updates, which change no index.
  fillfactor = 70,
  -- The tasks that are claimed first also leave dead rows first, at the beginning of each lane: they are removed while they are few.
  autovacuum_vacuum_scale_factor = 0.01,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_insert_scale_factor = 0.1,
  autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0.05
);

-- The lanes: pending tasks of one type and priority in the order in which they are claimed.
CREATE INDEX tasks_lane ON tasktrack.tasks (type, priority, run_at, id) WHERE status = 'pending';
-- Statuses that few tasks have. An index of all statuses would need one more entry at the end of every task.
CREATE INDEX tasks_rare ON tasktrack.tasks (status, id) WHERE status IN ('running', 'failed', 'cancelled');
CREATE INDEX tasks_ended ON tasktrack.tasks (status, finished_at, id) WHERE finished_at IS NOT NULL;
CREATE UNIQUE INDEX tasks_live_key ON tasktrack.tasks (key) WHERE key IS NOT NULL AND finished_at IS NULL;

CREATE TABLE tasktrack.log_lines (
  task_id bigint  NOT NULL,
  n       integer NOT NULL,
  at      bigint  NOT NULL,
  level   text    NOT NULL,
  message text    NOT NULL,
  PRIMARY KEY (task_id, n)
);

-- The change log: the changes of one statement are one row, because a row and an index entry for each change would cost more
-- than the changes themselves. The number of a batch is taken under the shared lock of `gate`, so that a reader that sees a gap
-- waits only for the transactions that may still fill the gap; see changes.ts.
CREATE SEQUENCE tasktrack.batch;
CREATE TABLE tasktrack.changes (
  batch   bigint      PRIMARY KEY DEFAULT nextval('tasktrack.batch'),
  n       integer     NOT NULL,
  entries text        NOT NULL, -- ID VERSION MARK;… as changes-text.ts reads them
  at      timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE tasktrack.idempotency (
  scope       text   NOT NULL,
  key         text   NOT NULL,
  fingerprint text   NOT NULL,
  until       bigint NOT NULL,
  tasks       text   NOT NULL, -- the first answer, JSON
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_until ON tasktrack.idempotency (until);

-- The numbers of tasks, as differences: each statement appends how it has changed them, and the sums by type and status are the
-- type counts. Writers only append, so they never wait for each other, as they would for one row with the number; housekeeping
-- sums the rows up.
CREATE TABLE tasktrack.census (
  type   text   NOT NULL COLLATE "C",
  status text   NOT NULL COLLATE "C",
  n      bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- Documents: small texts by which processes exchange facts.
CREATE TABLE tasktrack.notes (
  name    text    PRIMARY KEY COLLATE "C",
  value   text    NOT NULL,
  version integer NOT NULL,
  until   bigint  NOT NULL
) WITH (autovacuum_vacuum_cost_delay = 0);
CREATE INDEX notes_until ON tasktrack.notes (until);

-- The shared lock of every transaction that writes changes, from before it takes the number of a batch until it ends.
CREATE FUNCTION tasktrack.gate() RETURNS void LANGUAGE sql AS
$$ SELECT pg_advisory_xact_lock_shared('tasktrack.changes'::regclass::oid::integer, 0) $$;

-- Whether one of the patterns (a type, or a prefix ending in *) takes the type.
CREATE FUNCTION tasktrack.takes_type(patterns text[], type text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT EXISTS (
     SELECT FROM unnest(patterns) AS p
     WHERE CASE WHEN right(p, 1) = '*' THEN starts_with(type, left(p, -1)) ELSE type = p END) $$;

-- The lanes whose type matches one of the patterns. Each lane is one step through the index, whatever its length.
CREATE FUNCTION tasktrack.lanes(patterns text[]) RETURNS TABLE (lane_type text, lane_priority integer)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
  pattern text;
  prefix text;
BEGIN
  FOREACH pattern IN ARRAY patterns LOOP
    IF right(pattern, 1) = '*' THEN
      prefix := left(pattern, -1);
      SELECT t.type, t.priority INTO lane_type, lane_priority FROM tasktrack.tasks t
      WHERE t.status = 'pending' AND t.type >= prefix ORDER BY t.type, t.priority LIMIT 1;
      WHILE FOUND AND starts_with(lane_type, prefix) LOOP
        RETURN NEXT;
        SELECT t.type, t.priority INTO lane_type, lane_priority FROM tasktrack.tasks t
        WHERE t.status = 'pending' AND (t.type, t.priority) > (lane_type, lane_priority)
        ORDER BY t.type, t.priority LIMIT 1;
      END LOOP;
    ELSE
      SELECT t.type, t.priority INTO lane_type, lane_priority FROM tasktrack.tasks t
      WHERE t.status = 'pending' AND t.type = pattern ORDER BY t.priority LIMIT 1;
      WHILE FOUND LOOP
        RETURN NEXT;
        SELECT t.type, t.priority INTO lane_type, lane_priority FROM tasktrack.tasks t
        WHERE t.status = 'pending' AND t.type = pattern AND t.priority > lane_priority ORDER BY t.priority LIMIT 1;
      END LOOP;
    END IF;
  END LOOP;
END $$;

-- Claims for many asks, in order of arrival. Each ask gets the best due tasks that match its types and that earlier asks left, as
-- lifecycle.claim makes them. Rows that another transaction has locked are skipped. Several types of one priority are merged by
-- a read without locks, and only the best tasks are locked. If another claim has locked some of these, the first tasks of each type
-- are locked instead: these are more rows than are claimed, but there is no further conflict.
-- Parameters: for each ask worker, patterns (separated by spaces), number of tasks, lease; the time and the nonce.
-- Returns: the claimed tasks, each after the number of its ask.
CREATE FUNCTION tasktrack.claim(
  workers text[], patterns text[], wanted integer[], leases bigint[], now_ms bigint, nonce text)
RETURNS TABLE (ask integer,
  id bigint, version integer, status text, name text, description text, type text, payload text, priority
  integer, tags text, key text, run_at bigint, timeout_ms bigint, max_attempts integer, backoff_base_ms
  bigint, backoff_max_ms bigint, created_at bigint, updated_at bigint, claims integer, token text, attempt
  integer, failures integer, losses integer, worked_ms bigint, attempts text, started_at bigint, finished_at
  bigint, progress_percent double precision, progress_message text, result text, error_code text,
  error_message text, lease_worker text, lease_until bigint, lease_ms bigint, revoke_at bigint)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
  dry text[] := '{}'; -- patterns for which nothing is left
  lane record;
  contended boolean;
  best bigint[];
  held bigint[];
  entries text;
  held_types text[];
  wish integer;
BEGIN
  FOR a IN 1 .. cardinality(wanted) LOOP
    wish := wanted[a];
    CONTINUE WHEN wish <= 0 OR patterns[a] = ANY (dry);
    FOR lane IN
      SELECT l.lane_priority, array_agg(DISTINCT l.lane_type) AS types
      FROM tasktrack.lanes(string_to_array(patterns[a], ' ')) l GROUP BY l.lane_priority ORDER BY l.lane_priority DESC
    LOOP
      contended := false;
      LOOP
        IF contended OR cardinality(lane.types) = 1 THEN
          SELECT coalesce(array_agg(head.id), '{}'), string_agg(head.id || ' ' || head.version + 1 || ' r~', ';'),
            array_agg(head.lane_type)
          INTO held, entries, held_types
          FROM (
            SELECT head.id, head.version, lane_type FROM unnest(lane.types) AS lane_type CROSS JOIN LATERAL (
              SELECT t.id, t.run_at, t.version FROM tasktrack.tasks t
              WHERE t.status = 'pending' AND t.type = lane_type AND t.priority = lane.lane_priority
                AND t.run_at <= now_ms
              ORDER BY t.run_at, t.id LIMIT wish
              FOR NO KEY UPDATE SKIP LOCKED) head
            ORDER BY head.run_at, head.id LIMIT wish) head;
          best := held;
        ELSE
          best := ARRAY(
            SELECT head.id FROM unnest(lane.types) AS lane_type CROSS JOIN LATERAL (
              SELECT t.id, t.run_at FROM tasktrack.tasks t
              WHERE t.status = 'pending' AND t.type = lane_type AND t.priority = lane.lane_priority
                AND t.run_at <= now_ms
              ORDER BY t.run_at, t.id LIMIT wish) head
            ORDER BY head.run_at, head.id LIMIT wish);
          SELECT coalesce(array_agg(free.id), '{}'), string_agg(free.id || ' ' || free.version + 1 || ' r~', ';'),
            array_agg(free.type)
          INTO held, entries, held_types
          FROM (
            SELECT t.id, t.version, t.type FROM tasktrack.tasks t
            WHERE t.id = ANY (best) AND t.status = 'pending' AND t.run_at <= now_ms
            FOR NO KEY UPDATE SKIP LOCKED) free;
        END IF;
        IF cardinality(held) > 0 THEN
          PERFORM tasktrack.gate();
          INSERT INTO tasktrack.changes (n, entries) VALUES (cardinality(held), entries);
          INSERT INTO tasktrack.census (type, status, n)
          SELECT h.type, d.status, sum(d.n)
          FROM unnest(held_types) AS h(type), (VALUES ('pending', -1), ('running', 1)) AS d(status, n)
          GROUP BY h.type, d.status;
          RETURN QUERY
            UPDATE tasktrack.tasks t SET
              status = 'running', version = t.version + 1, claims = t.claims + 1, token = (t.claims + 1) || '.' || nonce,
              lease_worker = workers[a], lease_until = now_ms + leases[a], lease_ms = leases[a], revoke_at = NULL,
              attempt = t.attempt + 1, started_at = now_ms, updated_at = now_ms,
              progress_percent = NULL, progress_message = NULL
            WHERE t.id = ANY (held)
            RETURNING a, t.id, t.version, t.status, t.name, t.description, t.type, t.payload, t.priority, t.tags,
              t.key, t.run_at, t.timeout_ms, t.max_attempts, t.backoff_base_ms, t.backoff_max_ms,
              t.created_at, t.updated_at, t.claims, t.token, t.attempt, t.failures, t.losses,
              t.worked_ms, t.attempts, t.started_at, t.finished_at, t.progress_percent,
              t.progress_message, t.result, t.error_code, t.error_message, t.lease_worker,
              t.lease_until, t.lease_ms, t.revoke_at;
        END IF;
        wish := wish - cardinality(held);
        EXIT WHEN wish = 0 OR cardinality(held) = cardinality(best);
        contended := true;
      END LOOP;
      EXIT WHEN wish = 0;
    END LOOP;
    IF wish > 0 THEN dry := dry || patterns[a]; END IF;
  END LOOP;
END $$;

-- Deletes tasks with their logs; the version is null if any version is deleted. It first locks the rows in the order of the ids,
-- and deletes in a later statement, because a heartbeat may have written more log lines during the wait for the lock.
CREATE FUNCTION tasktrack.remove(ids bigint[], versions integer[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
  held bigint[];
BEGIN
  held := ARRAY(
    SELECT t.id FROM tasktrack.tasks t JOIN unnest(ids, versions) AS ref(id, version) ON t.id = ref.id
    WHERE ref.version IS NULL OR t.version = ref.version ORDER BY t.id FOR UPDATE OF t);
  DELETE FROM tasktrack.log_lines WHERE task_id = ANY (held);
  RETURN QUERY
    WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
    removed AS (DELETE FROM tasktrack.tasks WHERE id = ANY (held) RETURNING id, version, status, type),
    counted AS (
      INSERT INTO tasktrack.census (type, status, n) SELECT type, status, -count(*) FROM removed GROUP BY type, status
    ),
    logged AS (
      INSERT INTO tasktrack.changes (n, entries)
      SELECT count(*), string_agg(id || ' ' || version || ' ' || left(status, 1) || '-', ';') FROM removed CROSS JOIN gate
      HAVING count(*) > 0
    )
    SELECT id FROM removed;
END $$;

-- The most frequent steps: an attempt ends, and the task is pending again or has ended. Parameters: the ids in ascending order, the
-- versions and lease ends that the steps saw, and each column that the end of an attempt may change. Rows are found one by one in
-- the order of their ids, so they are locked in that order, and two batches never wait for each other.
-- Returns: the ids that were written.
CREATE FUNCTION tasktrack.end_attempts(
  ids bigint[], seen_versions integer[], seen_untils bigint[], statuses text[], run_ats bigint[], updated_ats bigint[],
  new_attempt integer[], new_failures integer[], new_losses integer[], worked bigint[], histories text[], finished_ats bigint[],
  percents double precision[], messages text[], results text[], error_codes text[], error_messages text[])
RETURNS SETOF bigint LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
    written AS (
      UPDATE tasktrack.tasks t SET
        version = t.version + 1, status = s.status, run_at = s.run_at, updated_at = s.updated_at, attempt = s.attempt,
        failures = s.failures, losses = s.losses, worked_ms = s.worked, attempts = s.history, finished_at = s.finished_at,
        progress_percent = s.percent, progress_message = s.message, result = s.result,
        error_code = s.error_code, error_message = s.error_message,
        lease_worker = NULL, lease_until = NULL, lease_ms = NULL, revoke_at = NULL
      FROM unnest(ids, seen_versions, seen_untils, statuses, run_ats, updated_ats, new_attempt, new_failures, new_losses,
        worked, histories, finished_ats, percents, messages, results, error_codes, error_messages)
        AS s(id, seen_version, seen_until, status, run_at, updated_at, attempt, failures, losses,
          worked, history, finished_at, percent, message, result, error_code, error_message)
      WHERE t.id = s.id AND t.version = s.seen_version AND t.lease_until = s.seen_until
      RETURNING t.id, t.version, t.status, t.type
    ),
    counted AS (
      INSERT INTO tasktrack.census (type, status, n)
      SELECT w.type, d.status, sum(d.n)
      FROM written w CROSS JOIN LATERAL (VALUES ('running', -1), (w.status, 1)) AS d(status, n)
      GROUP BY w.type, d.status
    ),
    logged AS (
      INSERT INTO tasktrack.changes (n, entries)
      SELECT count(*), string_agg(w.id || ' ' || w.version || ' ' || left(w.status, 1) || '~', ';')
      FROM written w CROSS JOIN gate HAVING count(*) > 0
    )
    SELECT w.id FROM written w;
END $$;

-- Heartbeats without content: only the lease's end changes, as lifecycle.extend sets it. Ids are in ascending order, as above.
-- Returns: the ids that still hold their lease and whether they are asked to stop.
CREATE FUNCTION tasktrack.renew(now_ms bigint, ids bigint[], tokens text[])
RETURNS TABLE (id bigint, is_asked_to_stop boolean) LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    UPDATE tasktrack.tasks t SET lease_until = greatest(t.lease_until + 1, now_ms + t.lease_ms)
    FROM unnest(ids, tokens) AS b(id, token)
    WHERE t.id = b.id AND t.status = 'running' AND t.token = b.token AND t.lease_until > now_ms
    RETURNING t.id, t.revoke_at IS NOT NULL;
END $$;

-- Heartbeats with progress or log lines. Ids are in ascending order, as above. A heartbeat without progress has no percent.
-- Progress is a change at most once in `change_every` milliseconds. The last `keep` log lines are kept.
-- A line's number counts from the end: the heartbeat's last line has the task's count.
-- Returns: the ids that still hold their lease and whether they are asked to stop.
CREATE FUNCTION tasktrack.speak(
  now_ms bigint, change_every bigint, keep integer, ids bigint[], tokens text[], percents double precision[], messages text[],
  counts integer[], line_ids bigint[], line_places integer[], line_levels text[], line_messages text[])
RETURNS TABLE (id bigint, is_asked_to_stop boolean) LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
    extended AS (
      UPDATE tasktrack.tasks t SET
        lease_until = greatest(t.lease_until + 1, now_ms + t.lease_ms),
        progress_percent = coalesce(b.percent, t.progress_percent),
        progress_message = coalesce(b.message, t.progress_message),
        progress_is_change = b.percent IS NOT NULL AND coalesce(now_ms - t.progress_logged_at >= change_every, true),
        progress_logged_at = CASE
          WHEN b.percent IS NOT NULL AND coalesce(now_ms - t.progress_logged_at >= change_every, true) THEN now_ms
          ELSE t.progress_logged_at END,
        lines = t.lines + b.lines
      FROM unnest(ids, tokens, percents, messages, counts) AS b(id, token, percent, message, lines)
      WHERE t.id = b.id AND t.status = 'running' AND t.token = b.token AND t.lease_until > now_ms
      RETURNING t.id, t.version, t.revoke_at, t.lines, t.progress_is_change
    ),
    logged AS (
      INSERT INTO tasktrack.changes (n, entries)
      SELECT count(*), string_agg(e.id || ' ' || e.version || ' r%', ';') FROM extended e CROSS JOIN gate
      WHERE e.progress_is_change HAVING count(*) > 0
    ),
    spoken AS (
      INSERT INTO tasktrack.log_lines (task_id, n, at, level, message)
      SELECT l.task_id, e.lines - l.place, now_ms, l.level, l.message
      FROM unnest(line_ids, line_places, line_levels, line_messages) AS l(task_id, place, level, message)
      JOIN extended e ON e.id = l.task_id
      RETURNING task_id
    ),
    forgotten AS (
      DELETE FROM tasktrack.log_lines o USING extended e
      WHERE o.task_id = e.id AND o.n <= e.lines - keep AND e.id IN (SELECT task_id FROM spoken)
    )
    SELECT e.id, e.revoke_at IS NOT NULL FROM extended e;
END $$;

-- The earliest due time of the pending tasks of a type, from the first task of each lane.
CREATE FUNCTION tasktrack.oldest(of_type text) RETURNS bigint LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
  SELECT min(head.run_at) FROM tasktrack.lanes(ARRAY[of_type]) l CROSS JOIN LATERAL (
    SELECT t.run_at FROM tasktrack.tasks t
    WHERE t.status = 'pending' AND t.type = of_type AND t.priority = l.lane_priority
    ORDER BY t.run_at, t.id LIMIT 1) head $$;

-- How many due tasks of its type are claimed before this pending task, counted lane by lane up to at_most; null if the task is
-- not pending.
CREATE FUNCTION tasktrack.ahead(of_id bigint, now_ms bigint, at_most integer) RETURNS integer LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
  task record;
  lane integer;
  counted integer := 0;
BEGIN
  SELECT t.type, t.priority, t.run_at INTO task FROM tasktrack.tasks t WHERE t.id = of_id AND t.status = 'pending';
  IF NOT FOUND THEN RETURN NULL; END IF;
  FOR lane IN
    SELECT l.lane_priority FROM tasktrack.lanes(ARRAY[task.type]) l WHERE l.lane_priority > task.priority
  LOOP
    EXIT WHEN counted >= at_most;
    counted := counted + (SELECT count(*) FROM (
      SELECT FROM tasktrack.tasks t
      WHERE t.status = 'pending' AND t.type = task.type AND t.priority = lane AND t.run_at <= now_ms
      ORDER BY t.run_at, t.id LIMIT at_most - counted) due);
  END LOOP;
  RETURN counted + (SELECT count(*) FROM (
    SELECT FROM tasktrack.tasks t
    WHERE t.status = 'pending' AND t.type = task.type AND t.priority = task.priority AND t.run_at <= now_ms
      AND (t.run_at, t.id) < (task.run_at, of_id)
    ORDER BY t.run_at, t.id LIMIT at_most - counted) due);
END $$;

-- Writes documents, each on its own, in the order of their names, so that they are locked in that order. An expired document
-- counts as version 0, as a missing one. Returns: the names whose expected version was stored, which were written or deleted.
CREATE FUNCTION tasktrack.write_notes(names text[], new_values text[], untils bigint[], seen integer[], now_ms bigint)
RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  FOR a IN 1 .. cardinality(names) LOOP
    IF seen[a] > 0 THEN
      IF new_values[a] IS NULL THEN
        DELETE FROM tasktrack.notes n WHERE n.name = names[a] AND n.version = seen[a] AND n.until > now_ms;
      ELSE
        UPDATE tasktrack.notes n SET value = new_values[a], version = n.version + 1, until = untils[a]
        WHERE n.name = names[a] AND n.version = seen[a] AND n.until > now_ms;
      END IF;
      IF FOUND THEN RETURN NEXT names[a]; END IF;
    ELSIF new_values[a] IS NULL THEN
      DELETE FROM tasktrack.notes n WHERE n.name = names[a] AND (seen[a] IS NULL OR n.until <= now_ms);
      IF NOT EXISTS (SELECT FROM tasktrack.notes n WHERE n.name = names[a]) THEN RETURN NEXT names[a]; END IF;
    ELSE
      INSERT INTO tasktrack.notes AS n (name, value, version, until) VALUES (names[a], new_values[a], 1, untils[a])
      ON CONFLICT (name) DO UPDATE SET
        value = excluded.value, version = CASE WHEN n.until > now_ms THEN n.version + 1 ELSE 1 END, until = excluded.until
      WHERE seen[a] IS NULL OR n.until <= now_ms;
      IF FOUND THEN RETURN NEXT names[a]; END IF;
    END IF;
  END LOOP;
END $$;
