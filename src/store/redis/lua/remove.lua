#!lua flags=allow-oom
-- Deletes tasks with all their data.
-- ARGV: 1 sender; then each ref: id, version ("" for any), a document (see isDocumentFree)
-- Returns: 1 or 0 for each ref
-- Guards: the task exists, in that version if one is given; its document does not exist.
if mayLackWrites() then return OTHER_SERVER end
local ids = {}
local REF = 6
for from = 2, #ARGV, REF do ids[#ids + 1] = ARGV[from] end
local found = lookUp("heads", ids)
local gone, keys, changes, answers, done = {}, {}, {}, {}, {}

local SEEN = headPattern("status", "version", "priority", "type", "key")

local function remove(at, id)
  if not found[at] or done[id] then return 0 end
  local status, version, priority, type, key = match(found[at], SEEN)
  local from = 2 + (at - 1) * REF
  local wanted = ARGV[from + 1]
  if wanted ~= "" and wanted ~= version then return 0 end
  if not isDocumentFree(from + 2) then return 0 end
  putDocumentOf(from + 2)
  done[id] = true
  push(gone, id)
  leave("ids:" .. status, id)
  leave(setOf(status, type .. ":" .. priority), member(id))
  if key ~= "null" and (status == "pending" or status == "running") then push(keys, key) end
  count(status, type, -1)
  changes[#changes + 1] = change(id, version, status, "-")
  return 1
end

for at, id in ipairs(ids) do answers[at] = remove(at, id) end

local logged = lookUp("lines", gone)
for at, id in ipairs(gone) do
  if logged[at] then call("UNLINK", prefix .. "log:" .. id) end
end
for _, name in ipairs({ "heads", "bodies", "told", "lines" }) do many("HDEL", name, gone) end
for _, name in ipairs(APART) do many("HDEL", name, gone) end
many("HDEL", "keys", keys)
carryOut()
publish(changes, ARGV[1], {}, true)
return answers
