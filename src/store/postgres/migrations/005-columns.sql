-- Functions that depend on no list of all columns, so that a new column of a task needs no new function. The functions that they replace
-- stay, for processes of an earlier version that still run.

-- The code of a status in the change log; the program has the same table (changes-text.ts), and a test compares them.
CREATE FUNCTION tasktrack.status_code(status text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE status WHEN 'pending' THEN 'p' WHEN 'running' THEN 'r' WHEN 'done' THEN 'd' WHEN 'failed' THEN 'f'
    WHEN 'cancelled' THEN 'c' END $$;

-- As claim_due of migration 2, but it returns each task as one value, which has the columns that the table has.
-- Parameters: for each ask worker, patterns (separated by spaces), number of tasks, lease; the time, the nonce and the bound.
-- Returns: the claimed tasks, each with the number of its ask.
CREATE FUNCTION tasktrack.claim_tasks(
  workers text[], patterns text[], wanted integer[], leases bigint[], now_ms bigint, nonce text, max_bytes bigint)
RETURNS TABLE (ask integer, task tasktrack.tasks)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  lanes_at_once constant integer := 16;
  room bigint := max_bytes;
  dry text[] := '{}'; -- patterns without due tasks
  first_ask integer := 1;
  next_ask integer;
  ask_of integer[]; -- of each task, in the order of distribution
  taken integer;
  wish integer;
  lane_types text[]; -- of the lanes with due tasks, the best first
  lane_priorities integer[];
  head_times bigint[];
  head_ids bigint[];
  first_lane integer;
  last_lane integer; -- the last lane of the same priority
  near_lane integer; -- the last lane that can hold a wanted task
  next_lane integer;
  is_look boolean;
  is_whole boolean; -- whether the read has covered all due tasks of this priority
  best bigint[];
  locked bigint[];
  versions integer[];
  types text[];
  sizes bigint[];
  count integer;
BEGIN
  WHILE first_ask <= cardinality(wanted) AND room > 0 LOOP
    next_ask := first_ask + 1;
    WHILE patterns[next_ask] = patterns[first_ask] LOOP next_ask := next_ask + 1; END LOOP;
    ask_of := ARRAY(
      SELECT a FROM generate_series(first_ask, next_ask - 1) AS a CROSS JOIN generate_series(1, wanted[a]) ORDER BY a);
    wish := cardinality(ask_of);
    taken := 0;
    lane_types := '{}';
    IF wish > 0 AND NOT patterns[first_ask] = ANY (dry) THEN
      SELECT coalesce(array_agg(l.type), '{}'), array_agg(l.priority), array_agg(l.run_at), array_agg(l.id)
      INTO lane_types, lane_priorities, head_times, head_ids
      FROM (
        SELECT * FROM tasktrack.lane_heads(string_to_array(patterns[first_ask], ' ')) l
        WHERE l.run_at <= now_ms ORDER BY l.priority DESC, l.run_at, l.id) l;
    END IF;
    first_lane := 1;
    WHILE first_lane <= cardinality(lane_types) AND wish > 0 AND room > 0 LOOP
      last_lane := first_lane;
      WHILE lane_priorities[last_lane + 1] = lane_priorities[first_lane] LOOP last_lane := last_lane + 1; END LOOP;
      near_lane := least(last_lane, first_lane + wish - 1);
      next_lane := first_lane;
      is_look := last_lane > first_lane;
      LOOP
        IF is_look THEN
          best := ARRAY(
            SELECT head.id FROM unnest(lane_types[first_lane:near_lane]) AS lane_type CROSS JOIN LATERAL (
              SELECT t.id, t.run_at FROM tasktrack.tasks t
              WHERE t.status = 'pending' AND t.type = lane_type AND t.priority = lane_priorities[first_lane]
                AND t.run_at <= now_ms
                AND (near_lane = last_lane OR (t.run_at, t.id) <= (head_times[near_lane], head_ids[near_lane]))
              ORDER BY t.run_at, t.id LIMIT wish) head
            ORDER BY head.run_at, head.id LIMIT wish);
          is_whole := near_lane = last_lane OR cardinality(best) = wish;
          SELECT coalesce(array_agg(free.id), '{}'), array_agg(free.version), array_agg(free.type), array_agg(free.size)
          INTO locked, versions, types, sizes
          FROM (
            SELECT t.id, t.version, t.type, tasktrack.text_size(t) AS size
            FROM unnest(best) WITH ORDINALITY AS b(id, place) JOIN tasktrack.tasks t ON t.id = b.id
            WHERE t.status = 'pending' AND t.run_at <= now_ms
            ORDER BY b.place FOR NO KEY UPDATE OF t SKIP LOCKED) free;
        ELSE
          SELECT coalesce(array_agg(head.id), '{}'), array_agg(head.version), array_agg(head.lane_type), array_agg(head.size)
          INTO locked, versions, types, sizes
          FROM (
            SELECT head.*, lane_type
            FROM unnest(lane_types[next_lane:least(last_lane, next_lane + lanes_at_once - 1)]) AS lane_type
            CROSS JOIN LATERAL (
              SELECT t.id, t.run_at, t.version, tasktrack.text_size(t) AS size FROM tasktrack.tasks t
              WHERE t.status = 'pending' AND t.type = lane_type AND t.priority = lane_priorities[first_lane]
                AND t.run_at <= now_ms
              ORDER BY t.run_at, t.id LIMIT wish
              FOR NO KEY UPDATE SKIP LOCKED) head
            ORDER BY head.run_at, head.id LIMIT wish) head;
          next_lane := next_lane + lanes_at_once;
        END IF;
        count := 0;
        WHILE count < cardinality(locked) AND room > 0 LOOP
          count := count + 1;
          room := room - sizes[count];
        END LOOP;
        IF count > 0 THEN
          PERFORM tasktrack.gate();
          INSERT INTO tasktrack.changes (n, entries)
          SELECT count, string_agg(h.id || ' ' || h.version + 1 || ' ' || tasktrack.status_code('running') || '~', ';')
          FROM unnest(locked[1:count], versions[1:count]) AS h(id, version);
          INSERT INTO tasktrack.census (type, status, n)
          SELECT h.type, d.status, sum(d.n)
          FROM unnest(types[1:count]) AS h(type), (VALUES ('pending', -1), ('running', 1)) AS d(status, n)
          GROUP BY h.type, d.status;
          RETURN QUERY
            UPDATE tasktrack.tasks t SET
              status = 'running', version = t.version + 1, claims = t.claims + 1, token = (t.claims + 1) || '.' || nonce,
              lease_worker = workers[ask_of[taken + h.place]], lease_ms = leases[ask_of[taken + h.place]],
              lease_until = now_ms + leases[ask_of[taken + h.place]], revoke_at = NULL,
              attempt = t.attempt + 1, started_at = now_ms, updated_at = now_ms,
              progress_percent = NULL, progress_message = NULL
            FROM unnest(locked[1:count]) WITH ORDINALITY AS h(id, place)
            WHERE t.id = h.id
            RETURNING ask_of[taken + h.place], t;
        END IF;
        taken := taken + count;
        wish := wish - count;
        EXIT WHEN wish = 0 OR room <= 0;
        EXIT WHEN is_look AND is_whole AND cardinality(locked) = cardinality(best);
        EXIT WHEN NOT is_look AND next_lane > last_lane;
        is_look := false;
      END LOOP;
      first_lane := last_lane + 1;
    END LOOP;
    IF wish > 0 AND room > 0 THEN dry := dry || patterns[first_ask]; END IF;
    first_ask := next_ask;
  END LOOP;
END $$;

-- Decides which drafts are created, some of which have keys, and gives them their ids. The statement that calls it inserts their rows. It
-- is a function because it must read after it has waited for the locks, and because a process that is suspended between two statements
-- would hold the locks.
-- Parameters: the time; the names to lock; for each draft its key and the number of the idempotency key of its request, if any; the
-- idempotency keys with their fingerprints and expiry times, each once; the place of the ids that the process has seen. Of several drafts
-- with the same key the first is created, unless a live task holds the key.
-- Returns one row of arrays: for each draft the id of its task, whether that task existed before, and the id under which the draft is to be
-- inserted, if it is; for each idempotency key that is remembered the fingerprint and the tasks of the first request. A draft of a
-- remembered request has no id. All arrays are null if the server is not the one that was seen: then nothing was written.
-- ROWS 1: with the estimate of 1,000 rows the calling statement seemed so expensive that the server compiled it, which took five seconds for
-- each call behind a connection pooler, where jit is on.
CREATE FUNCTION tasktrack.decide_keyed(
  now_ms bigint, locks text[], keys text[], asked_by integer[],
  scopes text[], idempotency_keys text[], new_fingerprints text[], untils bigint[], seen text)
RETURNS TABLE (ids bigint[], existing boolean[], new_ids bigint[], fingerprints text[], answers text[]) LANGUAGE plpgsql ROWS 1
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = on SET jit = off AS $$
#variable_conflict use_column
DECLARE
  remembered boolean[]; -- one for each idempotency key
BEGIN
  IF tasktrack.here() IS DISTINCT FROM seen THEN
    RETURN NEXT;
    RETURN;
  END IF;
  PERFORM tasktrack.lock_keys(locks);
  SELECT array_agg(i.fingerprint IS NOT NULL ORDER BY a.n), array_agg(i.fingerprint ORDER BY a.n), array_agg(i.tasks ORDER BY a.n)
  INTO remembered, fingerprints, answers
  FROM unnest(scopes, idempotency_keys) WITH ORDINALITY AS a(scope, key, n)
  LEFT JOIN LATERAL (
    SELECT i.fingerprint, i.tasks FROM tasktrack.idempotency i
    WHERE i.scope = a.scope AND i.key = a.key AND i.until > now_ms LIMIT 1) i ON true;
  WITH draft AS MATERIALIZED (
    SELECT d.*, remembered[d.asked] IS NOT TRUE AS is_wanted FROM unnest(keys, asked_by) WITH ORDINALITY AS d(key, asked, n)
  ),
  wanted AS MATERIALIZED (
    SELECT d.*, holder.id AS holder,
      d.is_wanted AND (d.key IS NULL
        OR (holder.id IS NULL AND row_number() OVER (PARTITION BY d.key, d.is_wanted ORDER BY d.n) = 1)) AS is_new
    FROM draft d LEFT JOIN LATERAL (
      SELECT t.id FROM tasktrack.tasks t WHERE t.key = d.key AND t.finished_at IS NULL LIMIT 1) holder ON true
  ),
  numbered AS MATERIALIZED (
    SELECT w.*, CASE WHEN w.is_new THEN nextval('tasktrack.task_id') END AS new_id
    FROM (SELECT * FROM wanted ORDER BY n) w
  ),
  answer AS MATERIALIZED (
    SELECT n, asked, is_wanted, new_id, NOT is_new AS existing,
      coalesce(holder, new_id, CASE WHEN key IS NOT NULL THEN max(new_id) OVER (PARTITION BY key) END) AS id
    FROM numbered
  ),
  remembering AS (
    INSERT INTO tasktrack.idempotency (scope, key, fingerprint, until, tasks)
    SELECT a.scope, a.key, a.fingerprint, a.until, coalesce(answered.tasks, '[]')
    FROM unnest(scopes, idempotency_keys, new_fingerprints, untils) WITH ORDINALITY AS a(scope, key, fingerprint, until, n)
    LEFT JOIN (
      SELECT asked, json_agg(json_build_object('id', id, 'existing', existing) ORDER BY n)::text AS tasks
      FROM answer GROUP BY asked) answered ON answered.asked = a.n
    WHERE NOT remembered[a.n]
    ON CONFLICT (scope, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, until = excluded.until, tasks = excluded.tasks
  )
  SELECT array_agg(CASE WHEN is_wanted THEN id END ORDER BY n), array_agg(existing ORDER BY n), array_agg(new_id ORDER BY n)
  INTO ids, existing, new_ids FROM answer;
  RETURN NEXT;
END $$;

-- As in migration 1, with the code of the status instead of its first letter, and the settings of migration 2.
CREATE OR REPLACE FUNCTION tasktrack.remove(ids bigint[], versions integer[]) RETURNS SETOF bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
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
      SELECT count(*), string_agg(id || ' ' || version || ' ' || tasktrack.status_code(status) || '-', ';') FROM removed CROSS JOIN gate
      HAVING count(*) > 0
    )
    SELECT id FROM removed;
END $$;

-- As in migration 1, with the code of the status instead of its first letter.
CREATE OR REPLACE FUNCTION tasktrack.end_attempts(
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
      SELECT count(*), string_agg(w.id || ' ' || w.version || ' ' || tasktrack.status_code(w.status) || '~', ';')
      FROM written w CROSS JOIN gate HAVING count(*) > 0
    )
    SELECT w.id FROM written w;
END $$;
