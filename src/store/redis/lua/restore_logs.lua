#!lua
-- Stores log lines of tasks that are restored, between restore_bodies.lua and restore.lua. They are not readable yet: `lines`
-- does not count them.
-- ARGV: each piece of a log: id, number of lines, lines
-- Guards: no task has the id.
if mayLackWrites() then return OTHER_SERVER end
local at = 1
while at <= #ARGV do
  local id, count = ARGV[at], tonumber(ARGV[at + 1])
  if call("HEXISTS", prefix .. "heads", id) == 0 then
    local lines = {}
    for n = 1, count do lines[n] = ARGV[at + 1 + n] end
    many("RPUSH", "log:" .. id, lines)
  end
  at = at + 2 + count
end
