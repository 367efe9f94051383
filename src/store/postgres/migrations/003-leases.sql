-- A lease is held until it is judged, also after its end: a heartbeat that comes late, but before that, renews
-- it. After the clock was set back, a heartbeat moves an overlong end to one lease's length from now, and progress is a change
-- again at once.

-- lifecycle.renewedUntil
CREATE FUNCTION tasktrack.renewed_until(lease_until bigint, lease_ms bigint, now_ms bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN lease_until > now_ms + 2 * lease_ms THEN now_ms + lease_ms ELSE greatest(lease_until + 1, now_ms + lease_ms) END $$;

-- A last change in the future was written before the clock was set back.
CREATE FUNCTION tasktrack.is_progress_due(told_at bigint, change_every bigint, now_ms bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT told_at IS NULL OR now_ms < told_at OR now_ms - told_at >= change_every $$;

-- Heartbeats without content: only the lease's end changes, as lifecycle.extend sets it. Ids are in ascending order, so that rows
-- are locked in that order.
-- Returns: the ids that still hold their lease and whether they were asked to stop.
CREATE OR REPLACE FUNCTION tasktrack.renew(now_ms bigint, ids bigint[], tokens text[])
RETURNS TABLE (id bigint, is_asked_to_stop boolean) LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    UPDATE tasktrack.tasks t SET lease_until = tasktrack.renewed_until(t.lease_until, t.lease_ms, now_ms)
    FROM unnest(ids, tokens) AS b(id, token)
    WHERE t.id = b.id AND t.status = 'running' AND t.token = b.token
    RETURNING t.id, t.revoke_at IS NOT NULL;
END $$;

-- Heartbeats with progress or log lines. Ids are in ascending order, as above. A heartbeat without progress has no percent.
-- Progress is a change at most once in `change_every` milliseconds. The last `keep` log lines are kept.
-- A line's number counts from the end: the heartbeat's last line has the task's count.
-- Returns: the ids that still hold their lease and whether they were asked to stop.
CREATE OR REPLACE FUNCTION tasktrack.speak(
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
        lease_until = tasktrack.renewed_until(t.lease_until, t.lease_ms, now_ms),
        progress_percent = coalesce(b.percent, t.progress_percent),
        progress_message = coalesce(b.message, t.progress_message),
        progress_is_change = b.percent IS NOT NULL AND tasktrack.is_progress_due(t.progress_logged_at, change_every, now_ms),
        progress_logged_at = CASE
          WHEN b.percent IS NOT NULL AND tasktrack.is_progress_due(t.progress_logged_at, change_every, now_ms) THEN now_ms
          ELSE t.progress_logged_at END,
        lines = t.lines + b.lines
      FROM unnest(ids, tokens, percents, messages, counts) AS b(id, token, percent, message, lines)
      WHERE t.id = b.id AND t.status = 'running' AND t.token = b.token
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
