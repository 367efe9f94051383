#!lua flags=allow-oom
-- Writes steps, each on its own.
-- ARGV: 1 sender, 2 "r" if a step may revoke a lease, 3 number of kinds; then each kind: the status and lane before the step, the new status and lane, the type if it has
--   become due ("" if not), and what its steps have besides (see below). Then each step: its kind, id, version and lease end before
--   the step, head, body, score, new version; and in this order, if its kind has the letter: "g" progress, "p" payload, "r"
--   result (the JSON, "-" to delete it; without the letter it is kept), "k" key as JSON and "enter" or "leave" for it, "d" a document (see
--   isDocumentFree)
-- Returns: "ok", "stale" or "key_taken" for each step
-- Guards: the stored version and lease end are those before the step; a key that is entered is free; its document does not exist.
if mayLackWrites() then return OTHER_SERVER end
local sender, mayRevoke = ARGV[1], ARGV[2] == "r"
local cursor = 4

local kinds = {}
for n = 1, tonumber(ARGV[3]) do
  local kind = { was = ARGV[cursor], wasLane = ARGV[cursor + 1], is = ARGV[cursor + 2], lane = ARGV[cursor + 3] }
  local due, more = ARGV[cursor + 4], ARGV[cursor + 5]
  kind.due, kind.size, kind.moved = due, 8, 0
  kind.change = " " .. STATUS_CODES[kind.is] .. "~"
  for letter in more:gmatch("%a") do
    kind[letter] = kind.size
    kind.size = kind.size + (letter == "k" and 2 or letter == "d" and 4 or 1)
  end
  kinds[n] = kind
  cursor = cursor + 6
end

local ids, starts, kindOf = {}, {}, {}
while cursor <= #ARGV do
  local at, kind = #ids + 1, kinds[tonumber(ARGV[cursor])]
  ids[at], starts[at], kindOf[at] = ARGV[cursor + 1], cursor, kind
  cursor = cursor + kind.size
end
local found = lookUp("heads", ids)

local heads, bodies, changes, due, answers = {}, {}, {}, {}, {}
local FIELDS = {} -- of each hash in APART: the letter of its values, the entries to write and the ids to delete
for at, name in ipairs(APART) do FIELDS[at] = { name = name, letter = sub("gpr", at, at), written = {}, deleted = {} } end
local silent = {} -- ended tasks: if they are retried, their next progress is in the change log at once
local done = {}

local function moveKey(id, key, move)
  if move == "leave" then
    call("HDEL", prefix .. "keys", key)
    return true
  end
  return call("HSETNX", prefix .. "keys", key, id) == 1
end

local function lengthOf(name, id, value)
  if value == nil then return call("HSTRLEN", prefix .. name, id) end
  return value == "-" and 0 or #value
end

-- The head of a light task begins with "+" and the size without payload and result (row.ts).
local PLUS = 43
local function sized(id, head, payload, result)
  if head:byte() ~= PLUS then return head end
  local size, rest = match(head, "^%+(%d+)(.*)$")
  return int(size + lengthOf("payloads", id, payload) + lengthOf("results", id, result)) .. rest
end

-- The lists of the sets that the steps of a kind leave and enter, made at the first step that is written.
local function open(kind)
  local from, to = setOf(kind.was, kind.wasLane), setOf(kind.is, kind.lane)
  leaving[from], entering[to] = leaving[from] or {}, entering[to] or {}
  kind.from, kind.to = leaving[from], entering[to]
  if kind.was ~= kind.is then
    local wasIds, isIds = "ids:" .. kind.was, "ids:" .. kind.is
    leaving[wasIds], entering[isIds] = leaving[wasIds] or {}, entering[isIds] or {}
    kind.fromIds, kind.toIds = leaving[wasIds], entering[isIds]
  end
  kind.isEnd = kind.is ~= "pending" and kind.is ~= "running"
end

local SEEN = headPattern("version", "leaseUntil")

local function replace(at, id)
  local from, kind = starts[at], kindOf[at]
  if not found[at] or done[id] then return "stale" end
  local version, ends = match(found[at], SEEN)
  if version ~= ARGV[from + 2] or ends ~= ARGV[from + 3] then return "stale" end
  if kind.d and not isDocumentFree(from + kind.d) then return "stale" end
  if kind.k and not moveKey(id, ARGV[from + kind.k], ARGV[from + kind.k + 1]) then return "key_taken" end
  done[id] = true
  if kind.d then putDocumentOf(from + kind.d) end
  local count = #heads
  heads[count + 1], bodies[count + 1] = id, id
  heads[count + 2] = sized(id, ARGV[from + 4], kind.p and ARGV[from + kind.p], kind.r and ARGV[from + kind.r])
  bodies[count + 2] = ARGV[from + 5]
  for _, field in ipairs(FIELDS) do
    local value = kind[field.letter] and ARGV[from + kind[field.letter]]
    if value == "-" then push(field.deleted, id) elseif value then push(field.written, id, value) end
  end
  if not kind.from then open(kind) end
  local text, score = member(id), ARGV[from + 6]
  kind.from[#kind.from + 1] = text
  local size = #kind.to
  kind.to[size + 1], kind.to[size + 2] = score, text
  if kind.fromIds then
    kind.fromIds[#kind.fromIds + 1] = id
    size = #kind.toIds
    kind.toIds[size + 1], kind.toIds[size + 2] = id, id
  end
  kind.moved = kind.moved + 1
  if kind.due ~= "" then addDue(due, kind.due) end
  if kind.isEnd then silent[#silent + 1] = id end
  changes[#changes + 1] = id .. " " .. ARGV[from + 7] .. kind.change
  return "ok"
end

for at, id in ipairs(ids) do answers[at] = replace(at, id) end

for _, kind in ipairs(kinds) do
  if kind.moved > 0 and kind.was ~= kind.is then
    count(kind.was, typeOf(kind.wasLane), -kind.moved)
    count(kind.is, typeOf(kind.wasLane), kind.moved)
  end
end
many("HSET", "heads", heads)
many("HSET", "bodies", bodies)
for _, field in ipairs(FIELDS) do
  many("HSET", field.name, field.written)
  many("HDEL", field.name, field.deleted)
end
many("HDEL", "told", silent)
carryOut()
publish(changes, sender, due, mayRevoke)
return answers
