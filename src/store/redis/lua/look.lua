#!lua flags=allow-oom
-- Reads the time, as now.lua does, and whether there is work.
-- ARGV: 1 "1" to look for leases that are over, 2 the beginning of documents' names, 3 first tasks that are read at most; then the beginnings of
--   lanes, as claim.lua takes them
-- Returns: seconds and microseconds, then 1 or 0: whether a pending task of these lanes may be due, a lease or a grace is over, and there may
--   be a document. A document that has expired counts until it is deleted.
-- Guards: the server is the one that the key `house` names.
if mayLackWrites() then return OTHER_SERVER end
local time = call("TIME")
local nowText = int(time[1] * 1000 + math.floor(time[2] / 1000))
local most = tonumber(ARGV[3])

local function isTaken(first)
  local lane = sub(first, first:byte() - 94)
  for at = 4, #ARGV do
    if sub(lane, 1, #ARGV[at]) == ARGV[at] then return true end
  end
  return false
end

-- The first tasks of all lanes, of which most are not due; if very many are due, some of them may be of these lanes.
local function isDue()
  if #ARGV < 4 then return 0 end
  for _, priority in ipairs(call("ZRANGE", prefix .. "priorities", 0, -1)) do
    local firsts = call("ZRANGEBYSCORE", prefix .. "firsts:" .. priority, "-inf", nowText, "LIMIT", 0, most)
    if #firsts == most then return 1 end
    for _, first in ipairs(firsts) do
      if isTaken(first) then return 1 end
    end
  end
  return 0
end

local over = ARGV[1] == "1" and #call("ZRANGEBYSCORE", prefix .. "expires", "-inf", nowText, "LIMIT", 0, 1) or 0
local named = call("ZRANGEBYLEX", prefix .. "note_names", "[" .. ARGV[2], "[" .. ARGV[2] .. "\255", "LIMIT", 0, 1)
return { time[1], time[2], isDue(), over, #named }
