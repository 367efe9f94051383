#!lua flags=allow-oom
-- Writes steps, each on its own.
-- ARGV: 1 sender, 2 "r" if a step may revoke a lease; then each step: id, version and lease end before the step, head, body, progress, payload, result (of these
--   three: the JSON, "=" to keep, "-" to delete it), key as JSON ("" to leave the live keys unchanged), "enter" or "leave" for the
--   key, the status and lane before the step, the new status, lane and score, the new version, the type if it has become due
--   ("" if not), and a document (see isDocumentFree)
-- Returns: "ok", "stale" or "key_taken" for each step
-- Guards: the stored version and lease end are those before the step; a key that is entered is free; its document does not exist.
if mayLackWrites() then return OTHER_SERVER end
local sender, mayRevoke = ARGV[1], ARGV[2] == "r"
local STEP = 21
local DOCUMENT = 17

local ids = {}
for from = 3, #ARGV, STEP do ids[#ids + 1] = ARGV[from] end
local found = lookUp("heads", ids)

local heads, bodies, changes, due, answers = {}, {}, {}, {}, {}
local fields = {} -- of each hash in APART: the entries to write and the ids to delete
for at, name in ipairs(APART) do fields[at] = { name, {}, {} } end
local silent = {} -- ended tasks: if they are retried, their next progress is in the change log at once
local done = {}

local function moveKey(id, key, move)
  if key == "" then return true end
  if move == "leave" then
    call("HDEL", prefix .. "keys", key)
    return true
  end
  return call("HSETNX", prefix .. "keys", key, id) == 1
end

local function noteField(field, id, value)
  if value == "-" then push(field[3], id) elseif value ~= "=" then push(field[2], id, value) end
end

local function lengthOf(name, id, value)
  if value == "=" then return call("HSTRLEN", prefix .. name, id) end
  return value == "-" and 0 or #value
end

-- The head of a light task begins with "+" and the size without payload and result (row.ts).
local function sized(id, head, payload, result)
  local size, rest = match(head, "^%+(%d+)(.*)$")
  if size == nil then return head end
  return int(size + lengthOf("payloads", id, payload) + lengthOf("results", id, result)) .. rest
end

local function move(id, from)
  local was, wasLane, is, lane, score = ARGV[from + 10], ARGV[from + 11], ARGV[from + 12], ARGV[from + 13], ARGV[from + 14]
  leave(setOf(was, wasLane), member(id))
  enter(setOf(is, lane), score, member(id))
  if was ~= is then
    leave("ids:" .. was, id)
    enter("ids:" .. is, id, id)
    count(was, typeOf(wasLane), -1)
    count(is, typeOf(wasLane), 1)
  end
  if is ~= "pending" and is ~= "running" then push(silent, id) end
end

local SEEN = headPattern("version", "leaseUntil")

local function replace(at, id)
  local from = 3 + (at - 1) * STEP
  if not found[at] or done[id] then return "stale" end
  local version, ends = match(found[at], SEEN)
  if version ~= ARGV[from + 1] or ends ~= ARGV[from + 2] then return "stale" end
  if not isDocumentFree(from + DOCUMENT) then return "stale" end
  if not moveKey(id, ARGV[from + 8], ARGV[from + 9]) then return "key_taken" end
  done[id] = true
  putDocumentOf(from + DOCUMENT)
  push(heads, id, sized(id, ARGV[from + 3], ARGV[from + 6], ARGV[from + 7]))
  push(bodies, id, ARGV[from + 4])
  noteField(fields[1], id, ARGV[from + 5])
  noteField(fields[2], id, ARGV[from + 6])
  noteField(fields[3], id, ARGV[from + 7])
  move(id, from)
  changes[#changes + 1] = change(id, ARGV[from + 15], ARGV[from + 12], "~")
  if ARGV[from + 16] ~= "" then addDue(due, ARGV[from + 16]) end
  return "ok"
end

for at, id in ipairs(ids) do answers[at] = replace(at, id) end

many("HSET", "heads", heads)
many("HSET", "bodies", bodies)
for _, field in ipairs(fields) do
  many("HSET", field[1], field[2])
  many("HDEL", field[1], field[3])
end
many("HDEL", "told", silent)
carryOut()
publish(changes, sender, due, mayRevoke)
return answers
