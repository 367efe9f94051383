#!lua
-- Restores tasks, all or none: makes tasks of the pieces that restore_bodies.lua and restore_logs.lua have stored.
-- ARGV: 1 sender; then each task: id, head, live key as JSON ("" for none), status, lane, score, version, number of stored log
--   lines, number of log lines ever written, the type if it is due ("" if not)
-- Returns: the number of restored tasks, or "key_taken", or "lost" if pieces are missing (the server was restarted meanwhile, or another
--   call restores the same tasks); in both cases the pieces are deleted
-- Guards: no task has the id; a live key is free, and none comes twice.
if mayLackWrites() then return OTHER_SERVER end
local sender = ARGV[1]
local TASK = 10

local ids = {}
for from = 2, #ARGV, TASK do ids[#ids + 1] = ARGV[from] end
local found = lookUp("heads", ids)
local heads, keys, lines, changes, due, taken = {}, {}, {}, {}, {}, {}
local fresh, fault = {}, nil

local function faultOf(id, from)
  local key, brought = ARGV[from + 2], tonumber(ARGV[from + 7])
  if key ~= "" and (taken[key] or call("HEXISTS", prefix .. "keys", key) == 1) then return "key_taken" end
  if call("HEXISTS", prefix .. "bodies", id) == 0 or call("LLEN", prefix .. "log:" .. id) ~= brought then return "lost" end
  return nil
end

local function take(id, from)
  local key, status, version = ARGV[from + 2], ARGV[from + 3], ARGV[from + 6]
  push(heads, id, ARGV[from + 1])
  if key ~= "" then
    taken[key] = true
    push(keys, key, id)
  end
  if ARGV[from + 7] ~= "0" then push(lines, id, ARGV[from + 8]) end
  enter("ids:" .. status, id, id)
  enter(setOf(status, ARGV[from + 4]), ARGV[from + 5], member(id))
  count(status, typeOf(ARGV[from + 4]), 1)
  changes[#changes + 1] = change(id, version, status, "+")
  if ARGV[from + 9] ~= "" then addDue(due, ARGV[from + 9]) end
end

for at, id in ipairs(ids) do
  if not found[at] then
    local from = 2 + (at - 1) * TASK
    fresh[#fresh + 1] = id
    fault = fault or faultOf(id, from)
    if not fault then take(id, from) end
  end
end

if fault then
  many("HDEL", "bodies", fresh)
  for _, name in ipairs(APART) do many("HDEL", name, fresh) end
  for _, id in ipairs(fresh) do call("UNLINK", prefix .. "log:" .. id) end
  return fault
end

many("HSET", "heads", heads)
many("HSET", "keys", keys)
many("HSET", "lines", lines)
carryOut()
publish(changes, sender, due, false)
return #fresh
