#!lua flags=no-writes
-- Counts the due tasks of its type that are claimed before a pending task.
-- ARGV: 1 id, 2 now
-- Returns: how many, or "none" if the task is not pending
local id, now = ARGV[1], ARGV[2]
local head = call("HGET", prefix .. "heads", id)
if not head then return "none" end

local status, priority, type = match(head, headPattern("status", "priority", "type"))
if status ~= "pending" then return "none" end

local own = prefix .. "lane:" .. type .. ":" .. priority
local before = math.min(call("ZRANK", own, member(id)), call("ZCOUNT", own, "-inf", now))
local start = type .. ":"
for _, lane in ipairs(call("ZRANGEBYLEX", prefix .. "lanes", "[" .. start, "[" .. start .. "\255")) do
  if tonumber(match(lane, "%-?%d+$")) > tonumber(priority) then
    before = before + call("ZCOUNT", prefix .. "lane:" .. lane, "-inf", now)
  end
end
return before
