#!lua flags=no-writes
-- Counts tasks by status and type.
-- Returns: the fields of the hash `census` and their values in turn; then, as one list, the types (as JSON) that have pending
--   tasks, each with the earliest time among them: the heads of its lanes
local counts = call("HGETALL", prefix .. "census")
local oldest, at = {}, {}
for _, lane in ipairs(call("ZRANGE", prefix .. "lanes", 0, -1)) do
  local type = typeOf(lane)
  local runAt = tonumber(call("ZRANGE", prefix .. "lane:" .. lane, 0, 0, "WITHSCORES")[2])
  if at[type] == nil then
    push(oldest, type, false)
    at[type] = #oldest
    oldest[#oldest] = runAt
  else
    oldest[at[type]] = math.min(oldest[at[type]], runAt)
  end
end
for n = 2, #oldest, 2 do oldest[n] = int(oldest[n]) end
return { counts, oldest }
