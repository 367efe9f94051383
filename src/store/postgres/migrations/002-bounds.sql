-- Locks of keys. Functions and settings alone are changed, so no statement of a running process waits for this migration.

-- Locks names under which tasks are created or revived, until the transaction ends. Up to 32 names each have a lock of their
-- own; more take one lock that excludes all others, for the server's lock table has place for some 64 locks a connection.
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

-- Creates tasks for requests of which some bear keys, in one statement: a process that is frozen between two statements would
-- keep the locks of the keys and of the change log from all others.
-- Takes: the time; the names to be locked; a column of each draft, in their order, and with it the place of the idempotency key
-- under which it is asked for, if any; and the idempotency keys with their fingerprints and until when they are remembered.
-- An idempotency key comes once. Of drafts with one key the first is created, unless a live task holds the key.
-- Returns: for each draft of a request that is not remembered its place and the task that stands for it; for each idempotency
-- key that is remembered its place, the fingerprint of the first request and the tasks that answered it.
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
  remembered boolean[]; -- of each idempotency key
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
