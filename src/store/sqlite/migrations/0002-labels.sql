-- A task has labels: JSON of texts by name.
ALTER TABLE task ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
