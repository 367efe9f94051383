-- Locks of keys. This migration changes functions and settings alone, so it blocks no statement of a running process.

-- Locks names under which tasks are created or revived, until the transaction ends. Up to 32 names take one lock each. More names
-- take one lock that excludes all others, because the server's lock table has room for about 64 locks for each connection.
CREATE FUNCTION tasktrack.lock_keys(names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  everything constant integer := 'tasktrack.idempotency'::regclass::oid::integer;
  hashes constant integer[] := ARRAY(SELECT DISTINCT hashtext(name) FROM unnest(names) AS name ORDER BY 1);
BEGIN
  IF cardinality(hashes) > 32 THEN
    PERFORM pg_advisory_xact_lock(everything, 0);
  ELSE
    PERFORM pg_advisory_xact_lock_shared(everything, 0);
    PERFORM pg_advisory_xact_lock('tasktrack.tasks'::regclass::oid::integer, hash) FROM unnest(hashes) AS hash;
  END IF;
END $$;

-- Creates tasks for requests some of which have keys, in one statement: a process that is suspended between two statements would
-- hold the locks of the keys and of the change log.
--
-- Parameters: the time; the names to lock; one array for each column of the drafts, in order, and one array with the number of
-- the idempotency key of each draft, if any; the idempotency keys with their fingerprints and expiry times. Each idempotency key
-- occurs once. Of several drafts with the same key the first is created, unless a live task holds the key.
-- Returns: for each draft of a request that is not remembered, its number and the id of its task; for each remembered idempotency
-- key, its number, the fingerprint of the first request and the tasks that answered it.
CREATE FUNCTION tasktrack.create_keyed(
  now_ms bigint, locks text[],
  names text[], descriptions text[], types text[], payloads text[], priorities integer[], tag_lists text[], keys text[],
  run_ats bigint[], timeouts bigint[], attempt_limits integer[], backoff_bases bigint[], backoff_limits bigint[],
  created_ats bigint[], updated_ats bigint[], search_texts text[], asked_by integer[],
  scopes text[], idempotency_keys text[], fingerprints text[], untils bigint[])
RETURNS TABLE (draft bigint, id bigint, existing boolean, asked bigint, fingerprint text, tasks text) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = on SET jit = off AS $$
#variable_conflict use_column
DECLARE
  remembered boolean[]; -- one for each idempotency key
BEGIN
  PERFORM tasktrack.lock_keys(locks);
  remembered := ARRAY(
    SELECT EXISTS (SELECT FROM tasktrack.idempotency i WHERE i.scope = a.scope AND i.key = a.key AND i.until > now_ms)
    FROM unnest(scopes, idempotency_keys) WITH ORDINALITY AS a(scope, key, n) ORDER BY a.n);
  RETURN QUERY
    SELECT NULL::bigint, NULL::bigint, NULL::boolean, a.n, i.fingerprint, i.tasks
    FROM unnest(scopes, idempotency_keys) WITH ORDINALITY AS a(scope, key, n) CROSS JOIN LATERAL (
      SELECT i.fingerprint, i.tasks FROM tasktrack.idempotency i
      WHERE remembered[a.n] AND i.scope = a.scope AND i.key = a.key LIMIT 1) i;
  RETURN QUERY
    WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
    wanted AS MATERIALIZED (
      SELECT d.*, holder.id AS holder,
        d.key IS NULL OR (holder.id IS NULL AND row_number() OVER (PARTITION BY d.key ORDER BY d.n) = 1) AS is_new
      FROM unnest(names, descriptions, types, payloads, priorities, tag_lists, keys, run_ats, timeouts, attempt_limits,
        backoff_bases, backoff_limits, created_ats, updated_ats, search_texts, asked_by) WITH ORDINALITY
        AS d(name, description, type, payload, priority, tags, key, run_at, timeout_ms, max_attempts,
          backoff_base_ms, backoff_max_ms, created_at, updated_at, search_text, asked, n)
      LEFT JOIN LATERAL (
        SELECT t.id FROM tasktrack.tasks t WHERE t.key = d.key AND t.finished_at IS NULL LIMIT 1) holder ON true
      WHERE remembered[d.asked] IS NOT TRUE
    ),
    numbered AS MATERIALIZED (
      SELECT w.*, CASE WHEN w.is_new THEN nextval('tasktrack.task_id') END AS new_id
      FROM (SELECT * FROM wanted ORDER BY n) w
    ),
    made AS (
      INSERT INTO tasktrack.tasks (id, name, description, type, payload, priority, tags, key, run_at, timeout_ms,
        max_attempts, backoff_base_ms, backoff_max_ms, created_at, updated_at, search_text)
      SELECT new_id, name, description, type, payload, priority, tags, key, run_at, timeout_ms,
        max_attempts, backoff_base_ms, backoff_max_ms, created_at, updated_at, search_text
      FROM numbered WHERE is_new
      RETURNING id, type
    ),
    counted AS (
      INSERT INTO tasktrack.census (type, status, n) SELECT type, 'pending', count(*) FROM made GROUP BY type
    ),
    logged AS (
      INSERT INTO tasktrack.changes (n, entries)
      SELECT count(*), string_agg(id || ' 1 p+', ';' ORDER BY id) FROM made CROSS JOIN gate HAVING count(*) > 0
    ),
    answer AS MATERIALIZED (
      SELECT n, asked, NOT is_new AS existing,
        coalesce(holder, new_id, CASE WHEN key IS NOT NULL THEN max(new_id) OVER (PARTITION BY key) END) AS id
      FROM numbered
    ),
    remembering AS (
      INSERT INTO tasktrack.idempotency (scope, key, fingerprint, until, tasks)
      SELECT a.scope, a.key, a.fingerprint, a.until, coalesce(answered.tasks, '[]')
      FROM unnest(scopes, idempotency_keys, fingerprints, untils) WITH ORDINALITY AS a(scope, key, fingerprint, until, n)
      LEFT JOIN (
        SELECT asked, json_agg(json_build_object('id', id, 'existing', existing) ORDER BY n)::text AS tasks
        FROM answer GROUP BY asked) answered ON answered.asked = a.n
      WHERE NOT remembered[a.n]
      ON CONFLICT (scope, key) DO UPDATE
      SET fingerprint = excluded.fingerprint, until = excluded.until, tasks = excluded.tasks
    )
    SELECT n, id, existing, NULL::bigint, NULL::text, NULL::text FROM answer;
END $$;

-- The lanes whose type matches one of the patterns, each with its first task: one index scan step for each lane, whatever the
-- lane's length.
CREATE FUNCTION tasktrack.lane_heads(patterns text[])
RETURNS TABLE (type text, priority integer, run_at bigint, id bigint) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
#variable_conflict use_column
BEGIN -- in PL/pgSQL, which keeps the plan
  RETURN QUERY WITH RECURSIVE pattern AS (
    SELECT DISTINCT CASE WHEN right(p, 1) = '*' THEN left(p, -1) ELSE p END AS start, right(p, 1) = '*' AS is_prefix
    FROM unnest(patterns) AS p
  ),
  lane AS (
    SELECT pattern.start, pattern.is_prefix, head.* FROM pattern CROSS JOIN LATERAL (
      SELECT t.type, t.priority, t.run_at, t.id FROM tasktrack.tasks t
      WHERE t.status = 'pending' AND t.type >= pattern.start
      ORDER BY t.type, t.priority, t.run_at, t.id LIMIT 1) head
    WHERE head.type = pattern.start OR (pattern.is_prefix AND starts_with(head.type, pattern.start))
    UNION ALL
    SELECT lane.start, lane.is_prefix, head.* FROM lane CROSS JOIN LATERAL (
      SELECT t.type, t.priority, t.run_at, t.id FROM tasktrack.tasks t
      WHERE t.status = 'pending' AND (t.type, t.priority) > (lane.type, lane.priority)
      ORDER BY t.type, t.priority, t.run_at, t.id LIMIT 1) head
    WHERE head.type = lane.start OR (lane.is_prefix AND starts_with(head.type, lane.start))
  )
  SELECT DISTINCT lane.type, lane.priority, lane.run_at, lane.id FROM lane;
END $$;

-- The approximate number of bytes of a task in an answer, as core/text-size.ts counts characters.
CREATE FUNCTION tasktrack.text_size(task tasktrack.tasks) RETURNS bigint LANGUAGE sql IMMUTABLE AS
$$ SELECT (500 + octet_length(task.name) + octet_length(task.description) + coalesce(octet_length(task.payload), 0)
     + coalesce(octet_length(task.result), 0) + octet_length(task.attempts))::bigint $$;

-- Claims for many asks, in order of arrival. Each ask gets the best due tasks that match its types and that earlier ones left, as
-- lifecycle.claim makes them. The claim ends when each ask has as many as it wants, or when the claimed tasks hold max_bytes of
-- text. Rows that another transaction has locked are skipped. (`claim` of migration 1 stays for processes of version 0.1.0 that
-- still run.)
-- Consecutive asks with the same patterns are merged: their lanes are read once, and the tasks are distributed in the order of
-- the asks. Only the lanes with the best first tasks can hold the wanted tasks, so at most as many lanes are read as tasks are
-- wanted.
-- The best tasks of several lanes are read without locks and then locked. If another claim has locked some of them, the first
-- tasks of each lane are locked instead, some lanes at a time: this locks more rows than are claimed, but does not conflict
-- again.
-- Parameters: for each ask worker, patterns (separated by spaces), number of tasks, lease; the time, the nonce and the bound.
-- Returns: the claimed tasks, each after the number of its ask.
CREATE FUNCTION tasktrack.claim_due(
  workers text[], patterns text[], wanted integer[], leases bigint[], now_ms bigint, nonce text, max_bytes bigint)
RETURNS TABLE (ask integer,
  id bigint, version integer, status text, name text, description text, type text, payload text, priority
  integer, tags text, key text, run_at bigint, timeout_ms bigint, max_attempts integer, backoff_base_ms
  bigint, backoff_max_ms bigint, created_at bigint, updated_at bigint, claims integer, token text, attempt
  integer, failures integer, losses integer, worked_ms bigint, attempts text, started_at bigint, finished_at
  bigint, progress_percent double precision, progress_message text, result text, error_code text,
  error_message text, lease_worker text, lease_until bigint, lease_ms bigint, revoke_at bigint)
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
          SELECT count, string_agg(h.id || ' ' || h.version + 1 || ' r~', ';')
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
            RETURNING ask_of[taken + h.place], t.id, t.version, t.status, t.name, t.description, t.type, t.payload,
              t.priority, t.tags, t.key, t.run_at, t.timeout_ms, t.max_attempts, t.backoff_base_ms, t.backoff_max_ms,
              t.created_at, t.updated_at, t.claims, t.token, t.attempt, t.failures, t.losses,
              t.worked_ms, t.attempts, t.started_at, t.finished_at, t.progress_percent,
              t.progress_message, t.result, t.error_code, t.error_message, t.lease_worker,
              t.lease_until, t.lease_ms, t.revoke_at;
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

-- The plans of these two functions were made while their tables were empty, and scan the whole tables.
ALTER FUNCTION tasktrack.remove(bigint[], integer[]) SET enable_seqscan = off;
ALTER FUNCTION tasktrack.remove(bigint[], integer[]) SET enable_hashjoin = off;
ALTER FUNCTION tasktrack.remove(bigint[], integer[]) SET enable_mergejoin = off;
ALTER FUNCTION tasktrack.write_notes(text[], text[], bigint[], integer[], bigint) SET enable_seqscan = off;
