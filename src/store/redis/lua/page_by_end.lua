#!lua flags=no-writes
-- Finds ended tasks in the order of their ends, equal ones by id.
-- ARGV: 1 "finished_at" or "-finished_at", 2 and 3 time and id to continue after ("" from the start), 4 the time before which they
--   must have ended ("" for any), 5 tasks at most of each status; then statuses
-- Returns: for each status id, time, id, time, …, in order; fewer than asked for when there are no more
local forward, time, id, before, most = ARGV[1] == "finished_at", ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

-- The rank of the first task after (or, backwards, not before) the cursor, which itself may be deleted. Thousands may have ended in
-- one millisecond, so this is a binary search.
local function rankOfCursor(set)
  local low = call("ZCOUNT", set, "-inf", "(" .. time)
  local high = low + call("ZCOUNT", set, time, time)
  local text = member(id)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local there = call("ZRANGE", set, middle, middle)[1]
    if there < text or (forward and there == text) then low = middle + 1 else high = middle end
  end
  return low
end

local function page(set)
  local from, to = 0, call("ZCARD", set) -- ranks; `to` is not in it
  if before ~= "" then to = call("ZCOUNT", set, "-inf", "(" .. before) end
  if time ~= "" then
    local rank = rankOfCursor(set)
    if forward then from = rank else to = math.min(to, rank) end
  end
  if from >= to then return {} end
  if forward then return call("ZRANGE", set, from, math.min(to, from + most) - 1, "WITHSCORES") end
  local card = call("ZCARD", set)
  return call("ZREVRANGE", set, card - to, card - math.max(from, to - most) - 1, "WITHSCORES")
end

local pages = {}
for at = 6, #ARGV do
  local found = page(prefix .. "ended:" .. ARGV[at])
  for n = 1, #found, 2 do found[n] = idOf(found[n]) end
  pages[at - 5] = found
end
return pages
