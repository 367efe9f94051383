-- The beginning of every script: key names, numbers as text, moves between sorted sets, the change log and the messages to watchers.
-- KEYS[1] is the prefix of all keys; its hash tag keeps them in one slot. The keys without it:
--   house                hash     epoch, run and replid (the server that has the data, see serverOf), schema, the last id and the
--                                 last rev
--   heads                hash     id → the fields that scripts read: JSON values, separated by comma and line feed (row.ts)
--   bodies               hash     id → the other fields, a JSON array
--   progress, payloads, results   hashes, id → JSON; no entry for null
--   ids:STATUS           zset     id, scored by itself
--   lanes                zset     the lanes that are not empty, all scored 0: "TYPE":PRIORITY
--   lane:LANE            zset     pending tasks, scored by run_at
--   firsts               hash     lane → the member and the score of its first task, separated by a space
--   firsts:PRIORITY      zset     the first tasks of all lanes of this priority: MEMBER and LANE, scored by run_at
--   priorities           zset     the priorities that have lanes, scored by themselves
--   expires              zset     running tasks, scored by the end of the lease or of the grace of a cancel request
--   ended:STATUS         zset     ended tasks, scored by the time of their end
--   keys                 hash     live key as JSON → id
--   told                 hash     id → when its progress was last in the change log
--   lines                hash     id → number of log lines ever written;  log:ID  list  the latest of them
--   idem:SCOPE_AND_KEY   string   until, fingerprint and answer of a request, a line each
--   census               hash     STATUS:"TYPE" → number of tasks; no entry for 0
--   notes                hash     document's name → until, version and value, a line each; note_names and note_ends  zsets, scored
--                                 0 and by until
--   changes              stream   LAST_REV-0 → at, n, c: the n changes of one script
-- A script fails before its first write or not at all: everything that can fail is read first.

local prefix = KEYS[1]
local call = redis.call

local format, match, char, sub = string.format, string.match, string.char, string.sub

-- Lua writes a large number as 1e+15.
local function int(number) return format("%.0f", number) end

-- The length before the number: texts of ids then order as the ids do, and equal scores order by id.
local function member(id) return char(96 + #id) .. id end
local function idOf(text) return sub(text, 2) end

-- Lua's stack takes less than 8,000 values; pairs stay together.
local AT_ONCE = 4000

local function many(command, name, values)
  for from = 1, #values, AT_ONCE do
    call(command, prefix .. name, unpack(values, from, math.min(from + AT_ONCE - 1, #values)))
  end
end

-- Redis keeps a small sorted set as one list and searches it from its beginning, up to 128 members by default. The sets of running tasks
-- have about that many members in many stores: with 100 running tasks the server spent 8 % of its time in such lists. A member that is too
-- long for such a list makes the set a tree, which it stays until it is empty.
local TOO_LONG = string.rep("x", 100)
local ENTERED = 16 -- fewer new members are not worth the two commands
local function makeTree(set, entered)
  if entered < ENTERED then return end
  call("ZADD", prefix .. set, 0, TOO_LONG)
  call("ZREM", prefix .. set, TOO_LONG)
end

-- The values of these fields of a hash, in their order; false if there is none.
local function lookUp(name, fields)
  if #fields <= AT_ONCE then
    if #fields == 0 then return {} end
    return call("HMGET", prefix .. name, unpack(fields))
  end
  local found = {}
  for from = 1, #fields, AT_ONCE do
    local piece = call("HMGET", prefix .. name, unpack(fields, from, math.min(from + AT_ONCE - 1, #fields)))
    for at = 1, #piece do found[#found + 1] = piece[at] end
  end
  return found
end

local function push(list, first, second)
  local size = #list
  list[size + 1] = first
  list[size + 2] = second
end

-- ---- heads: JSON values, each but the last followed by a comma and a line feed. HEAD (above) has their names in their order.

local PLACE = {} -- name → which value of a head it is
for at, name in ipairs(HEAD) do PLACE[name] = at end

-- The pattern of a head that captures these values as JSON, and a status without its quotes. They are named in the order of HEAD.
-- "<NAME" captures the position of a value's first character instead, ">NAME" the position behind its last. A script captures only
-- what it needs: every capture makes a text, and all fifteen cost more than everything else that it does with a head.
local function headPattern(...)
  local names, nth, parts = { ... }, 1, { "^" }
  local function takes(name)
    if names[nth] ~= name then return false end
    nth = nth + 1
    return true
  end
  for at, name in ipairs(HEAD) do
    if nth > #names then break end
    if takes("<" .. name) then parts[#parts + 1] = "()" end
    local ending = at < #HEAD and ",\n" or ""
    if takes(name) then
      parts[#parts + 1] = name == "status" and '"(%a+)"' or "([^\n]*)"
    elseif names[nth] == ">" .. name then
      parts[#parts + 1] = "[^\n]*"
    else
      parts[#parts + 1], ending = "[^\n]*", at < #HEAD and "\n" or ""
    end
    if takes(">" .. name) then parts[#parts + 1] = "()" end
    parts[#parts + 1] = ending
  end
  return table.concat(parts)
end

-- ---- documents

-- The version of the document; 0 if there is none, or if it has expired.
local function documentVersion(name, now)
  local till, version = match(call("HGET", prefix .. "notes", name) or "", "^(%d+)\n(%d+)\n")
  if till == nil or tonumber(till) <= now then return 0 end
  return tonumber(version)
end

local function putDocument(name, version, value, till)
  call("HSET", prefix .. "notes", name, till .. "\n" .. version .. "\n" .. value)
  call("ZADD", prefix .. "note_names", 0, name)
  call("ZADD", prefix .. "note_ends", till, name)
end

local function dropDocument(name)
  call("HDEL", prefix .. "notes", name)
  call("ZREM", prefix .. "note_names", name)
  call("ZREM", prefix .. "note_ends", name)
end

-- Deletes some expired documents. Every script that writes documents deletes more than it writes, so that they do not accumulate.
local function clearDocuments(atMost, now)
  local over = call("ZRANGEBYSCORE", prefix .. "note_ends", "-inf", int(now), "LIMIT", 0, atMost)
  for _, name in ipairs(over) do dropDocument(name) end
end

-- A document that a step writes: its name ("" for none), value, until and now are in ARGV from this index on.
local function isDocumentFree(at) return ARGV[at] == "" or documentVersion(ARGV[at], tonumber(ARGV[at + 3])) == 0 end
local function putDocumentOf(at)
  if ARGV[at] == "" then return end
  putDocument(ARGV[at], "1", ARGV[at + 1], ARGV[at + 2])
  clearDocuments(2, tonumber(ARGV[at + 3]))
end

-- ---- the server's identity

local function infoOf(section)
  local ok, info = pcall(call, "INFO", section)
  return ok and info or ""
end

-- The run id is new at each start of a server; a read of it takes 70 µs. The replication id is new at each start and promotion (3 µs).
-- Where the server's access rules hide either of them, it is "unknown".
local function serverOf(replication)
  return match(infoOf("server"), "run_id:(%w+)") or "unknown", match(replication, "master_replid:(%w+)") or "unknown"
end

-- Whether the data is on another server, or in another run of it, than `house` has: it may lack the last answered writes, and ids
-- and revs would be given a second time. While the replication ids agree, only they are compared. A replication id changes without
-- a loss when a primary gets its first replica, or has had none for an hour: the run is the same then, and there is no second
-- replication id, which a promotion leaves behind. Schema 1 has the run alone.
local function mayLackWrites()
  local house = prefix .. "house"
  local noted = call("HMGET", house, "run", "replid")
  if not noted[1] or noted[2] == "unknown" then return false end
  local replication = infoOf("replication")
  if match(replication, "master_replid:(%w+)") == noted[2] then return false end
  local run, replid = serverOf(replication)
  if run ~= noted[1] then return true end
  if noted[2] and not match(replication, "master_replid2:0+\r") then return true end
  call("HSET", house, "replid", replid)
  return false
end

-- The answer of a script before its first write; the caller opens another connection and runs begin.lua on it first.
local OTHER_SERVER = redis.error_reply("OTHERSERVER another server, or another run of it, has the data now")

-- ---- moves between sorted sets: collected, then carried out together

local leaving, entering = {}, {}

local function leave(set, text)
  local list = leaving[set]
  if list == nil then
    list = {}
    leaving[set] = list
  end
  list[#list + 1] = text
end

local function enter(set, score, text)
  local list = entering[set]
  if list == nil then
    list = {}
    entering[set] = list
  end
  push(list, score, text)
end

-- The sorted set that has the task, besides the set of ids of its status.
local function setOf(status, lane)
  if status == "pending" then return "lane:" .. lane end
  if status == "running" then return "expires" end
  return "ended:" .. status
end

local function priorityOf(lane) return match(lane, "%-?%d+$") end

-- Stores the first tasks of these lanes: `firsts` has the member and the score of each, separated by a space, "" if the lane is
-- empty. A claim of many types reads first tasks in this order; a read of each lane took 57 ms with 10,000 types.
local function noteFirsts(lanes, firsts)
  local noted = lookUp("firsts", lanes)
  local filled, written, emptied, into, out = {}, {}, {}, {}, {}
  for at, lane in ipairs(lanes) do
    local is, was = firsts[at], noted[at] or ""
    if is ~= was then
      local priority = priorityOf(lane)
      into[priority], out[priority] = into[priority] or {}, out[priority] or {}
      if was == "" then push(filled, "0", lane) else push(out[priority], match(was, "^%S+") .. lane) end
      if is == "" then
        push(emptied, lane)
      else
        local text, score = match(is, "^(%S+) (.*)$")
        push(into[priority], score, text .. lane)
        push(written, lane, is)
      end
    end
  end
  many("ZADD", "lanes", filled)
  many("ZREM", "lanes", emptied)
  many("HSET", "firsts", written)
  many("HDEL", "firsts", emptied)
  for priority, texts in pairs(out) do
    local set = "firsts:" .. priority
    many("ZREM", set, texts)
    many("ZADD", set, into[priority])
    if #into[priority] > 0 then
      call("ZADD", prefix .. "priorities", priority, priority)
    elseif call("EXISTS", prefix .. set) == 0 then
      call("ZREM", prefix .. "priorities", priority)
    end
  end
end

local function firstOf(lane)
  local first = call("ZRANGE", prefix .. "lane:" .. lane, 0, 0, "WITHSCORES")
  return first[1] and first[1] .. " " .. first[2] or ""
end

-- The first task of a lane that only got these scores and members: found without a command.
local function firstWith(noted, added)
  local score, text
  if noted then
    text, score = match(noted, "^(%S+) (.*)$")
    score = tonumber(score)
  end
  for at = 1, #added, 2 do
    local other = tonumber(added[at])
    if text == nil or other < score or (other == score and added[at + 1] < text) then score, text = other, added[at + 1] end
  end
  return text .. " " .. format("%.17g", score)
end

local function carryOut()
  local lanes, grown, firsts = {}, {}, {}
  for set, members in pairs(leaving) do
    many("ZREM", set, members)
    if sub(set, 1, 5) == "lane:" then push(lanes, sub(set, 6)) end
  end
  for set, members in pairs(entering) do
    many("ZADD", set, members)
    if leaving[set] == nil and sub(set, 1, 5) == "lane:" then push(grown, sub(set, 6)) end
  end
  for at, lane in ipairs(lanes) do firsts[at] = firstOf(lane) end
  for at, noted in ipairs(lookUp("firsts", grown)) do
    push(lanes, grown[at])
    push(firsts, firstWith(noted, entering["lane:" .. grown[at]]))
  end
  noteFirsts(lanes, firsts)
end

-- ---- counts by type and status

local counted = {}

-- type: as JSON
local function count(status, type, by)
  local field = status .. ":" .. type
  counted[field] = (counted[field] or 0) + by
end

local function typeOf(lane) return match(lane, "^(.*):") end

local function carryOutCounts()
  local fields, after, gone = {}, {}, {}
  for field, by in pairs(counted) do
    if by ~= 0 then push(fields, field) end
  end
  for at, before in ipairs(lookUp("census", fields)) do
    local number = (before or 0) + counted[fields[at]]
    if number == 0 then push(gone, fields[at]) else push(after, fields[at], int(number)) end
  end
  many("HSET", "census", after)
  many("HDEL", "census", gone)
end

-- ---- the change log

local KEPT_MS, KEPT_CHANGES = 3600000, 100000

-- kind: "+" created, "~" changed, "%" progress, "-" deleted, as changes-text.ts reads them
local function change(id, version, status, kind) return id .. " " .. version .. " " .. STATUS_CODES[status] .. kind end

-- Deletes at most two old entries for each new one: bounded work that catches up.
local function trim(last, nowMs)
  local cut
  for _, entry in ipairs(call("XRANGE", prefix .. "changes", "-", "+", "COUNT", 2)) do
    local rev = tonumber(match(entry[1], "^%d+"))
    if rev <= last - KEPT_CHANGES and tonumber(entry[2][2]) < nowMs - KEPT_MS then cut = rev end
  end
  if cut ~= nil then call("XTRIM", prefix .. "changes", "MINID", int(cut + 1)) end
end

local function addDue(due, type) due[type] = (due[type] or 0) + 1 end

-- Appends the changes of this script to the log and publishes a message to watchers. Scripts are serial, so revs commit in their
-- order and no reader can miss one.
-- sender: the process that ignores the message, because it notifies its own watchers; due: type → number of due tasks; mayRevoke: whether a
-- lease may have been revoked. The last line of the message is as notice.ts describes.
local function publish(changes, sender, due, mayRevoke)
  if #changes == 0 then return end
  carryOutCounts()
  local last = call("HINCRBY", prefix .. "house", "rev", #changes)
  local time = call("TIME")
  local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
  local text = table.concat(changes, ";")
  call("XADD", prefix .. "changes", int(last) .. "-0", "at", int(nowMs), "n", #changes, "c", text)
  trim(last, nowMs)
  local message = { sender }
  local counts = {}
  for type, count in pairs(due) do
    message[#message + 1] = type
    counts[#counts + 1] = count
  end
  message[#message + 1] = (mayRevoke and ":r:" or ":-:") .. int(last) .. ":" .. table.concat(counts, ",")
  -- A user without the right to the channel must not make a step fail that was carried out.
  redis.pcall("PUBLISH", prefix .. "rings", table.concat(message, "\n"))
end
