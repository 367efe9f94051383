#!lua
-- Stores the large parts of tasks that are restored, before restore.lua makes tasks of them.
-- ARGV: each task: id, body, progress, payload, result ("" for none)
-- Returns: 1 for each task with stored parts, 0 if a task has this id
-- Guards: no task has the id. Ids that are given later are higher from here on, so that no other task can get these parts.
if mayLackWrites() then return OTHER_SERVER end
local names = { "bodies", unpack(APART) }
local PARTS = 1 + #names

local ids, highest = {}, tonumber(call("HGET", prefix .. "house", "id") or 0)
for from = 1, #ARGV, PARTS do
  ids[#ids + 1] = ARGV[from]
  highest = math.max(highest, tonumber(ARGV[from]))
end
local found, fresh, answers = lookUp("heads", ids), {}, {}
local parts = {}
for n in ipairs(names) do parts[n] = {} end

for at, id in ipairs(ids) do
  answers[at] = found[at] and 0 or 1
  if not found[at] then
    fresh[#fresh + 1] = id
    for n = 1, #names do
      local value = ARGV[(at - 1) * PARTS + 1 + n]
      if value ~= "" then push(parts[n], id, value) end
    end
  end
end

call("HSET", prefix .. "house", "id", int(highest))
for n, name in ipairs(names) do
  many("HDEL", name, fresh) -- the remains of an earlier call that was interrupted
  many("HSET", name, parts[n])
end
for _, id in ipairs(fresh) do call("UNLINK", prefix .. "log:" .. id) end
return answers
