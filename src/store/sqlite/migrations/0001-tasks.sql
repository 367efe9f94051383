-- One row: what the store knows of itself.
CREATE TABLE meta (
  epoch TEXT NOT NULL,      -- names this life of the change log
  last_id INTEGER NOT NULL, -- the highest id ever given, though its task may be gone
  holder TEXT               -- the worker's name of the process that opened the file last
);

-- Small columns that change stand first and long texts last: a change of the small ones leaves the pages that the
-- long ones overflow to as they are. Times are epoch milliseconds; columns of JSON hold it to the letter.
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
  progress_at INTEGER,                  -- of the latest change of kind progress
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

-- The lanes of a claim, each in the order in which it is given out.
CREATE INDEX task_lanes ON task (type, priority DESC, run_at, id) WHERE status = 'pending';
-- Lists and counts of some statuses; every index ends in the id.
CREATE INDEX task_by_status ON task (status);
-- A sweep finds leases that are over without touching the rows.
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

-- Deleted tasks whose log lines are still there: a thousand lines a task would make a deletion of many long.
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

-- How many tasks there are of each type and status.
CREATE TABLE census (
  type TEXT NOT NULL,
  status TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (type, status)
) WITHOUT ROWID;

-- Small documents that processes leave for one another.
CREATE TABLE note (
  name TEXT NOT NULL UNIQUE,
  value TEXT NOT NULL,
  version INTEGER NOT NULL,
  until INTEGER NOT NULL
);

CREATE INDEX note_by_end ON note (until);
