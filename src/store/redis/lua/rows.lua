#!lua flags=no-writes
-- Reads tasks.
-- ARGV: 1 bytes at most, 2 "whole", or "light" without payload and result; then ids
-- Returns: head, body, progress, payload and result of each (false where there is none), in the order of the ids; less than
--   all when the bytes are full, but at least one
local mostBytes, isWhole = tonumber(ARGV[1]), ARGV[2] == "whole"
local ids = {}
for at = 3, #ARGV do ids[at - 2] = ARGV[at] end

local heads, bytes, fitting = lookUp("heads", ids), 0, 0
for at, head in ipairs(heads) do
  if head then bytes = bytes + match(head, "^%d+") end
  if at > 1 and bytes > mostBytes then break end
  fitting = at
end
for at = #ids, fitting + 1, -1 do ids[at] = nil end

local bodies, progress = lookUp("bodies", ids), lookUp("progress", ids)
local payloads, results = isWhole and lookUp("payloads", ids), isWhole and lookUp("results", ids)
local rows = {}
for at = 1, fitting do
  local to = 5 * at - 4
  rows[to], rows[to + 1], rows[to + 2] = heads[at], bodies[at], progress[at]
  rows[to + 3], rows[to + 4] = payloads and payloads[at], results and results[at]
end
return rows
