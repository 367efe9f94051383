-- No id is assigned twice. A standby that was promoted, or a dump that was restored, may lack the last acknowledged tasks, and its
-- sequence would assign their ids again. So the identity of the sequence's server is stored. On another server, ids continue
-- 100,000 higher, once. The upgrade stores the present identity and skips nothing.

-- A table of its own: a new column of `meta` would wait for each transaction that has read it, such as a dump, and make all
-- other readers wait meanwhile.
CREATE TABLE tasktrack.id_source (
  one      boolean PRIMARY KEY DEFAULT true CHECK (one),
  file     text    NOT NULL, -- the file of this table: differs in another database, and after a restore
  timeline text    NOT NULL, -- differs after a promotion, and after a recovery to a point in time
  system   bigint  NOT NULL  -- the system identifier, of the cluster
);

-- The identity: the start of the server, the file and the timeline. No table and no control file is read, so that each statement that creates
-- tasks can compare it with the identity that its process knows. That takes 8 µs of a create of 260 µs; a comparison with the table took 25 µs. The start
-- of the server stands for the system identifier, which is read from a file.
CREATE FUNCTION tasktrack.here() RETURNS text LANGUAGE sql AS $$
  SELECT extract(epoch FROM pg_postmaster_start_time()) || ' ' || pg_relation_filepath('tasktrack.id_source') || ' '
    || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) $$;

-- For a process that does not know this identity yet. If several processes call it at once, the first one skips the ids and the others wait for
-- it; they must be read committed to see what it has stored. Returns: the same as `here`.
CREATE FUNCTION tasktrack.note_source() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  place text := tasktrack.here();
  present tasktrack.id_source := (true, split_part(place, ' ', 2), split_part(place, ' ', 3),
    (SELECT system_identifier FROM pg_control_system()));
  noted tasktrack.id_source;
BEGIN
  SELECT * INTO noted FROM tasktrack.id_source FOR UPDATE;
  IF noted IS DISTINCT FROM present THEN
    PERFORM setval('tasktrack.task_id', greatest(last_value, (SELECT max(id) FROM tasktrack.tasks)) + 100000)
    FROM tasktrack.task_id;
    INSERT INTO tasktrack.id_source SELECT present.*
    ON CONFLICT (one) DO UPDATE SET file = excluded.file, timeline = excluded.timeline, system = excluded.system;
  END IF;
  RETURN place;
END $$;

INSERT INTO tasktrack.id_source
SELECT true, split_part(place, ' ', 2), split_part(place, ' ', 3), system_identifier
FROM tasktrack.here() AS place, pg_control_system();

-- As in migration 2, but it creates nothing and returns one row of nulls if the server is not the one that was `seen`. (The
-- function of migration 2 stays for processes of the version before, which still run.)
CREATE FUNCTION tasktrack.create_keyed(
  now_ms bigint, locks text[],
  names text[], descriptions text[], types text[], payloads text[], priorities integer[], tag_lists text[], keys text[],
  run_ats bigint[], timeouts bigint[], attempt_limits integer[], backoff_bases bigint[], backoff_limits bigint[],
  created_ats bigint[], updated_ats bigint[], search_texts text[], asked_by integer[],
  scopes text[], idempotency_keys text[], fingerprints text[], untils bigint[], seen text)
RETURNS TABLE (draft bigint, id bigint, existing boolean, asked bigint, fingerprint text, tasks text) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = on SET jit = off AS $$
#variable_conflict use_column
DECLARE
  remembered boolean[]; -- of each idempotency key
BEGIN
  IF tasktrack.here() IS DISTINCT FROM seen THEN
    RETURN QUERY SELECT NULL::bigint, NULL::bigint, NULL::boolean, NULL::bigint, NULL::text, NULL::text;
    RETURN;
  END IF;
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
