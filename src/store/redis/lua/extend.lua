#!lua flags=allow-oom
-- Renews leases, as lifecycle.extend does, and stores their progress and log lines.
-- ARGV: 1 now, 2 sender, 3 milliseconds between two changes by a task's progress, 4 log lines kept; then each heartbeat: id, token
--   as JSON, progress ("" for none), number of lines, number of lines that follow (the last ones, at most as many as are kept), lines
-- Returns: the number of changes, then "ok", "cancel" or "lost" for each heartbeat
-- Guards: running, the token is equal.
if mayLackWrites() then return OTHER_SERVER end
local now, sender, every, kept = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local beats, ids = {}, {}
local cursor = 5
while cursor <= #ARGV do
  local lines = tonumber(ARGV[cursor + 4])
  beats[#beats + 1] = { token = ARGV[cursor + 1], progress = ARGV[cursor + 2], written = ARGV[cursor + 3], at = cursor + 5, lines = lines }
  ids[#ids + 1] = ARGV[cursor]
  cursor = cursor + 5 + lines
end

local found, heads = lookUp("heads", ids), {}
for at, id in ipairs(ids) do heads[id] = found[at] end
local written, progress, told, changes, answers = {}, {}, {}, {}, {}

local function appendLines(id, beat)
  if beat.lines == 0 then return end
  call("HINCRBY", prefix .. "lines", id, beat.written)
  local list = {}
  for at = 0, beat.lines - 1 do list[at + 1] = "[" .. ARGV[1] .. "," .. ARGV[beat.at + at] .. "]" end
  many("RPUSH", "log:" .. id, list)
  call("LTRIM", prefix .. "log:" .. id, -kept, -1)
end

local function noteProgress(id, beat, version)
  push(progress, id, beat.progress)
  local last = told[id] or call("HGET", prefix .. "told", id)
  if last and now >= tonumber(last) and now - last < every then return end -- a later time is from before the clock was set back
  told[id] = ARGV[1]
  changes[#changes + 1] = change(id, version, "running", "%")
end

local SEEN = headPattern("status", "version", "token", "<leaseUntil", "leaseUntil", ">leaseUntil", "leaseMs", "revokeAt")

local function extend(id, beat)
  if not heads[id] then return "lost" end
  local head = heads[id]
  local status, version, token, from, ends, to, leaseMs, revokeAt = match(head, SEEN)
  if status ~= "running" or token ~= beat.token then return "lost" end
  local later = now + leaseMs
  if tonumber(ends) <= now + 2 * leaseMs then later = math.max(ends + 1, later) end -- else the clock was set back
  heads[id] = sub(head, 1, from - 1) .. int(later) .. sub(head, to)
  push(written, id, heads[id])
  enter("expires", int(math.min(later, tonumber(revokeAt) or later)), member(id))
  appendLines(id, beat)
  if beat.progress ~= "" then noteProgress(id, beat, version) end
  return revokeAt == "null" and "ok" or "cancel"
end

for at, id in ipairs(ids) do answers[at + 1] = extend(id, beats[at]) end

many("HSET", "heads", written)
many("HSET", "progress", progress)
for id, at in pairs(told) do call("HSET", prefix .. "told", id, at) end
carryOut()
publish(changes, sender, {}, false)
answers[1] = #changes
return answers
