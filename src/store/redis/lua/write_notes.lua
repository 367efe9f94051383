#!lua flags=allow-oom
-- Writes notes, each on its own, and clears away some whose time is over: more than it writes, so that it catches up.
-- ARGV: 1 now; then each write: name, "put" or "drop", value, until, the version that must be there ("" for any)
-- Returns: "ok" or "stale" for each
-- Guards: the stored version; a note whose time is over has none, as one that is not there.
if mayLackWrites() then return OTHER_SERVER end
local now = tonumber(ARGV[1])
local WRITE = 5

local function drop(name)
  call("HDEL", prefix .. "notes", name)
  call("ZREM", prefix .. "note_names", name)
  call("ZREM", prefix .. "note_ends", name)
end

local answers = {}
for from = 2, #ARGV, WRITE do
  local name, seen = ARGV[from], ARGV[from + 4]
  local version = noteVersion(name, now)
  if seen ~= "" and tonumber(seen) ~= version then
    answers[#answers + 1] = "stale"
  else
    if ARGV[from + 1] == "put" then putNote(name, int(version + 1), ARGV[from + 2], ARGV[from + 3]) else drop(name) end
    answers[#answers + 1] = "ok"
  end
end

for _, name in ipairs(call("ZRANGEBYSCORE", prefix .. "note_ends", "-inf", int(now), "LIMIT", 0, 2 * #answers + 10)) do drop(name) end
return answers
