#!lua flags=no-writes
-- Reads tasks.
-- ARGV: 1 bytes at most, 2 "whole", "light" without payload and result, or "head" for the head alone; then ids
-- Returns: head, body, progress, payload and result of each (false if there is none), in the order of the ids; fewer tasks than
--   ids at the limit of bytes, but at least one
local mostBytes, isWhole, isHead = tonumber(ARGV[1]), ARGV[2] == "whole", ARGV[2] == "head"
local ids = {}
for at = 3, #ARGV do ids[at - 2] = ARGV[at] end

local function sizeOf(head, id)
  if isWhole then return match(head, "^%d+") end
  return #head + (isHead and 0 or call("HSTRLEN", prefix .. "bodies", id))
end

local heads, bytes, fitting = lookUp("heads", ids), 0, 0
for at, head in ipairs(heads) do
  if head then bytes = bytes + sizeOf(head, ids[at]) end
  if at > 1 and bytes > mostBytes then break end
  fitting = at
end
for at = #ids, fitting + 1, -1 do ids[at] = nil end

local bodies, progress = not isHead and lookUp("bodies", ids), not isHead and lookUp("progress", ids)
local payloads, results = isWhole and lookUp("payloads", ids), isWhole and lookUp("results", ids)
local rows = {}
for at = 1, fitting do
  local to = 5 * at - 4
  rows[to], rows[to + 1], rows[to + 2] = heads[at], bodies and bodies[at], progress and progress[at]
  rows[to + 3], rows[to + 4] = payloads and payloads[at], results and results[at]
end
return rows
