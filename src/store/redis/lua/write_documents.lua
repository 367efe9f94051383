#!lua flags=allow-oom
-- Writes documents, each on its own, and deletes some expired ones: more than it writes, so that it catches up.
-- ARGV: 1 now; then each write: name, "put" or "drop", value, until, the version that must be there ("" for any)
-- Returns: "ok" or "stale" for each
-- Guards: the stored version; an expired document counts as version 0, as a missing one.
if mayLackWrites() then return OTHER_SERVER end
local now = tonumber(ARGV[1])
local WRITE = 5

local answers = {}
for from = 2, #ARGV, WRITE do
  local name, seen = ARGV[from], ARGV[from + 4]
  local version = documentVersion(name, now)
  if seen ~= "" and tonumber(seen) ~= version then
    answers[#answers + 1] = "stale"
  else
    if ARGV[from + 1] == "put" then putDocument(name, int(version + 1), ARGV[from + 2], ARGV[from + 3]) else dropDocument(name) end
    answers[#answers + 1] = "ok"
  end
end

clearDocuments(2 * #answers + 10, now)
return answers
