-- One row: facts about the store itself.
CREATE TABLE meta (
  epoch TEXT NOT NULL,      -- identifies the change log
  last_id INTEGER NOT NULL, -- the highest id that was ever assigned; its task may be deleted
  holder TEXT               -- the name, in leases, of the process that opened the file last
);

-- Small columns that change are first, long texts last: a change of the small ones does not rewrite the overflow pages of the
-- long ones. Times are epoch milliseconds; JSON is stored as it was sent.
CREATE TABLE task (
  id INTEGER PRIMARY KEY,
  status TEXT NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  priority INTEGER NOT NULL,
  run_at INTEGER NOT NULL,
  finished_at INTEGER,
  lease_until INTEGER,
  revoke_at INTEGER,
  lease_ms INTEGER,
  lease_worker TEXT,
  claims INTEGER NOT NULL,
  token TEXT,
  attempt INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  losses INTEGER NOT NULL,
  started_at INTEGER,
  worked_ms INTEGER NOT NULL,
  timeout_ms INTEGER,
  max_attempts INTEGER NOT NULL,
  backoff_base_ms INTEGER NOT NULL,
  backoff_max_ms INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  progress_at INTEGER,                  -- the time of the latest change of kind progress
  log_count INTEGER NOT NULL DEFAULT 0, -- log lines ever written
  key TEXT,
  name TEXT NOT NULL,
  tags TEXT NOT NULL,                   -- JSON array of strings
  progress TEXT,                        -- JSON object
  error TEXT,                           -- JSON object
  attempts TEXT NOT NULL,               -- JSON array of objects
  description TEXT NOT NULL,
  payload TEXT,                         -- JSON
  result TEXT                           -- JSON
);

-- The lanes, each in the order in which its tasks are claimed.
CREATE INDEX task_lanes ON task (type, priority DESC, run_at, id) WHERE status = 'pending';
-- Lists and counts of some statuses; every index ends in the id.
CREATE INDEX task_by_status ON task (status);
-- A sweep finds expired leases in this index, without reading the rows.
CREATE INDEX task_running ON task (id, lease_until, revoke_at) WHERE status = 'running';
-- Ended tasks by the time of their end, for lists and retention.
CREATE INDEX task_ended ON task (status, finished_at, id) WHERE finished_at IS NOT NULL;
-- A key belongs to one live task.
CREATE UNIQUE INDEX task_live_key ON task (key) WHERE key IS NOT NULL AND finished_at IS NULL;

CREATE TABLE log_line (
  task_id INTEGER NOT NULL,
  n INTEGER NOT NULL,
  at INTEGER NOT NULL,
  level TEXT NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (task_id, n)
) WITHOUT ROWID;

-- Deleted tasks whose log lines are not deleted yet: a thousand lines for each task would make a deletion of many tasks slow.
CREATE TABLE orphaned_log (task_id INTEGER PRIMARY KEY);

CREATE TABLE change (
  rev INTEGER PRIMARY KEY,
  task_id INTEGER NOT NULL,
  version INTEGER NOT NULL,
  status TEXT NOT NULL,
  kind TEXT NOT NULL,
  at INTEGER NOT NULL
);

CREATE TABLE idempotency (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  until INTEGER NOT NULL,
  tasks TEXT NOT NULL, -- JSON: the first answer
  PRIMARY KEY (scope, key)
) WITHOUT ROWID;

CREATE INDEX idempotency_by_end ON idempotency (until);

-- The number of tasks of each type and status.
CREATE TABLE census (
  type TEXT NOT NULL,
  status TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (type, status)
) WITHOUT ROWID;

-- Documents: small texts by which processes exchange facts.
CREATE TABLE note (
  name TEXT NOT NULL UNIQUE,
  value TEXT NOT NULL,
  version INTEGER NOT NULL,
  until INTEGER NOT NULL
);

CREATE INDEX note_by_end ON note (until);
