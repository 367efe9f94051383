#!lua flags=allow-oom
-- Claims due tasks for workers, as lifecycle.claim does.
-- ARGV: 1 now, 2 nonce as JSON without its quotes, 3 sender, 4 tasks at most, 5 bytes at most, 6 lanes that an ask may list, 7 lanes
--   that the script reads (about), 8 where the first ask continues, as an earlier script answered ("" from the start), 9 asks;
--   then each ask: worker as JSON, leaseMs, max, number of lane prefixes, lane prefixes
-- Returns: the number of finished asks, the number of tasks of each ask (a text, separated by spaces), where the next ask continues, the
--   size of the tasks, and a JSON array of them, ask by ask, each an array of what the caller does not know: id, version, claims, attempt, the
--   values of the head from the priority on, body; then id, payload and result of each task that has one of the two. If not all
--   asks are finished, a bound was reached.
-- Guards: the tasks are pending and due, because a lane up to now has no others; an earlier ask chooses first.
--
-- An ask that names few lanes lists them. An ask that names more (as `*` does) walks the first tasks of all lanes in the order in
-- which they are claimed, and so reads about as many lanes as it gets tasks, for any number of types. In both cases a lane
-- is read only when its first task is the next one.
if mayLackWrites() then return OTHER_SERVER end
local now, nowText, nonce, sender = tonumber(ARGV[1]), ARGV[1], ARGV[2], ARGV[3]
local mostTasks, mostBytes, mostListed, mostLooked = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local asks = tonumber(ARGV[9])

-- ---- the asks

local asked, wanted = {}, 0
local cursor = 10
for n = 1, asks do
  local ask = { worker = ARGV[cursor], leaseMs = ARGV[cursor + 1], max = tonumber(ARGV[cursor + 2]), given = 0, n = n }
  local types = tonumber(ARGV[cursor + 3])
  ask.starts = {}
  for at = 1, types do ask.starts[at] = ARGV[cursor + 3 + at] end
  wanted = wanted + ask.max
  asked[n] = ask
  cursor = cursor + 4 + types
end
wanted = math.min(wanted, mostTasks)
local looked = 0 -- the number of lanes that were listed or that walks skipped

-- ---- lanes. Only the stored first task of a lane is known until more is needed; then it is read in pieces from its beginning, and `at` is
-- the next task to be taken.

local lanes = {}

local function laneOf(name)
  local lane = lanes[name]
  if lane == nil then
    lane = { name = name, key = prefix .. "lane:" .. name, read = 0, taken = 0 }
    lanes[name] = lane
  end
  return lane
end

local function read(lane, piece)
  if lane.found == nil then lane.piece = piece else lane.piece = math.min(wanted, 2 * lane.piece) end
  local found = call("ZRANGEBYSCORE", lane.key, "-inf", nowText, "WITHSCORES", "LIMIT", lane.read, lane.piece)
  lane.found, lane.at = found, 1
  lane.read = lane.read + #found / 2
  lane.isWhole = #found < 2 * lane.piece
end

-- The lane's next task, its member and its score; nil if no task is due.
local function headOf(lane)
  if lane.found == nil then return lane.first, lane.score end
  if lane.at > #lane.found and not lane.isWhole then read(lane) end
  return lane.found[lane.at], tonumber(lane.found[lane.at + 1])
end

-- ---- a heap of lanes of one priority, the one with the best first task on top. Another heap may have taken the task of an entry;
-- entries only get worse by that, so it is enough to check an entry again when it is at the top.

local function isBefore(a, b)
  if a.score ~= b.score then return a.score < b.score end
  return a.text < b.text
end

local function sink(heap, at)
  local entry, size = heap[at], #heap
  while true do
    local child = 2 * at
    if child > size then break end
    if child < size and isBefore(heap[child + 1], heap[child]) then child = child + 1 end
    if not isBefore(heap[child], entry) then break end
    heap[at] = heap[child]
    at = child
  end
  heap[at] = entry
end

local function rise(heap, at)
  local entry = heap[at]
  while at > 1 do
    local parent = math.floor(at / 2)
    if not isBefore(entry, heap[parent]) then break end
    heap[at] = heap[parent]
    at = parent
  end
  heap[at] = entry
end

-- False if the lane has no more due tasks.
local function look(entry)
  local lane = entry.lane
  local text, score = headOf(lane)
  if text == nil then return false end
  entry.text, entry.score, entry.taken = text, score, lane.taken
  return true
end

local function add(heap, lane)
  local entry = { lane = lane }
  if not look(entry) then return end
  heap[#heap + 1] = entry
  rise(heap, #heap)
end

local function renewTop(heap)
  if not look(heap[1]) then
    heap[1] = heap[#heap]
    heap[#heap] = nil
  end
  if #heap > 1 then sink(heap, 1) end
end

-- ---- the first tasks of all lanes of a priority, in their order, read in pieces when a walk needs them

local WALKED_AT_ONCE = math.max(16, math.min(wanted, 256))
local indexes = {}

local function firstAt(priority, rank)
  local index = indexes[priority]
  if index == nil then
    index = {}
    indexes[priority] = index
  end
  local from = rank - rank % WALKED_AT_ONCE
  if index[from] == nil then
    index[from] = call("ZRANGE", prefix .. "firsts:" .. priority, from, from + WALKED_AT_ONCE - 1, "WITHSCORES")
  end
  local at = 2 * (rank - from) + 1
  return index[from][at], tonumber(index[from][at + 1])
end

-- The rank of the first one that is not before this task.
local function rankOf(priority, score, text)
  local set = prefix .. "firsts:" .. priority
  local low = call("ZCOUNT", set, "-inf", "(" .. score)
  local high = low + call("ZCOUNT", set, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if call("ZRANGE", set, middle, middle)[1] < text then low = middle + 1 else high = middle end
  end
  return low
end

local function memberIn(first) return sub(first, 1, first:byte() - 95) end
local function laneIn(first) return sub(first, first:byte() - 94) end

-- ---- a queue for each set of types: its lanes by priority, which are read only when all higher ones are empty

local ALL = '"' -- the beginning of every lane
local queues = {}

-- Puts the lanes with this beginning into the groups of their priorities, if their stored first task is due.
local function list(queue, start)
  local names = call("ZRANGEBYLEX", prefix .. "lanes", "[" .. start, "[" .. start .. "\255")
  looked, queue.listed = looked + #names, queue.listed + #names
  local firsts = lookUp("firsts", names)
  for at, name in ipairs(names) do
    if not queue.known[name] then
      queue.known[name] = true
      local lane = laneOf(name)
      if firsts[at] and lane.first == nil then
        local text, score = match(firsts[at], "^(%S+) (.*)$")
        lane.first, lane.score = text, tonumber(score)
      end
      if lane.score == nil or lane.score <= now then
        local priority = priorityOf(name)
        queue.groups[priority] = queue.groups[priority] or {}
        push(queue.groups[priority], lane)
      end
    end
  end
end

local function isWalked(queue, name)
  if queue.exact[typeOf(name) .. ":"] then return true end
  for _, start in ipairs(queue.walked) do
    if sub(name, 1, #start) == start then return true end
  end
  return false
end

local function fill(queue, starts)
  for _, start in ipairs(starts) do
    if start == ALL then
      queue.walked, queue.isWalking = { ALL }, true
      return
    end
  end
  for _, start in ipairs(starts) do
    local size = call("ZLEXCOUNT", prefix .. "lanes", "[" .. start, "[" .. start .. "\255")
    if queue.listed + size <= mostListed then
      if size > 0 then list(queue, start) end
    elseif sub(start, -2) == '":' then
      queue.exact[start], queue.isWalking = true, true
    else
      push(queue.walked, start)
      queue.isWalking = true
    end
  end
end

local function prioritiesOf(queue)
  local priorities = {}
  for priority in pairs(queue.groups) do push(priorities, tonumber(priority)) end
  if queue.isWalking then
    for _, priority in ipairs(call("ZRANGE", prefix .. "priorities", 0, -1)) do
      if queue.groups[priority] == nil then push(priorities, tonumber(priority)) end
    end
  end
  table.sort(priorities)
  return priorities
end

local function queueFor(starts)
  local called = table.concat(starts, "\n")
  local queue = queues[called]
  if queue == nil then
    queue = { heap = {}, groups = {}, known = {}, exact = {}, walked = {}, isWalking = false, listed = 0, passed = 0 }
    fill(queue, starts)
    queue.cost = 1 + #queue.walked / 8 -- the cost of a lane that the walk skips
    queue.priorities = prioritiesOf(queue)
    queues[called] = queue
  end
  return queue
end

-- The place, as a text, at which the next script continues the walk of an ask that a bound has ended: this task.
local function placeAt(priority, score, text) return priority .. " " .. format("%.17g", score) .. " " .. text end

local function resume(queue, place)
  local priority, score, text = match(place, "^(%S+) (%S+) (%S+)$")
  queue.from = { priority = priority, rank = rankOf(priority, score, text) }
end

-- The next priority, the lanes that were listed on it, and where its walk begins. False if there is none.
local function descend(queue)
  local number = table.remove(queue.priorities)
  if number == nil then return false end
  local priority = int(number)
  queue.priority, queue.rank = priority, nil
  local group, width = queue.groups[priority] or {}, 0
  local from = queue.from
  if queue.isWalking and not (from and number > tonumber(from.priority)) then
    width = call("ZCOUNT", prefix .. "firsts:" .. priority, "-inf", nowText)
    if width > 0 then queue.rank = from and from.priority == priority and from.rank or 0 end
  end
  queue.piece = math.max(1, math.ceil(wanted / math.max(1, #group + width)))
  for _, lane in ipairs(group) do
    if lane.found == nil and lane.first == nil then read(lane, queue.piece) end -- its first task is not stored
    add(queue.heap, lane)
  end
  return true
end

-- Adds lanes to the heap with first tasks before its top. False if the script has read enough lanes.
local function walk(queue)
  while queue.rank ~= nil do
    local first, score = firstAt(queue.priority, queue.rank)
    if first == nil or score > now then
      queue.rank = nil
      return true
    end
    local top = queue.heap[1]
    if top ~= nil and (top.score < score or (top.score == score and top.text < first)) then return true end
    if looked > mostLooked and queue.passed > 0 then
      queue.place = placeAt(queue.priority, score, memberIn(first))
      return false
    end
    looked, queue.passed, queue.rank = looked + queue.cost, queue.passed + 1, queue.rank + 1
    local name = laneIn(first)
    if not queue.known[name] and isWalked(queue, name) then
      queue.known[name] = true
      local lane = laneOf(name)
      if lane.first == nil then lane.first, lane.score = memberIn(first), score end
      add(queue.heap, lane)
    end
  end
  return true
end

-- The entry with the best task that is left; nil if there is none; false if the script has read enough lanes.
local function bestOf(queue)
  while true do
    local top = queue.heap[1]
    if top ~= nil and top.taken ~= top.lane.taken then
      renewTop(queue.heap)
    elseif not walk(queue) then
      return false
    else
      top = queue.heap[1]
      if top == nil then
        if not descend(queue) then return nil end
      elseif top.lane.found == nil then
        read(top.lane, queue.piece)
        renewTop(queue.heap)
      elseif top.taken == top.lane.taken then
        return top
      end
    end
  end
end

-- ---- the choice

local ids, texts, askOf, laneOfPick, priorities, scores = {}, {}, {}, {}, {}, {} -- of each pick, in order
local finished, place = 0, "" -- finished asks, and where the next one continues

local function placeOf(pick) return placeAt(priorities[pick], scores[pick], texts[pick]) end

-- Takes the next task of a lane that has been read.
local function pick(ask, lane, priority)
  local count, at = #ids + 1, lane.at
  local text = lane.found[at]
  texts[count], ids[count], askOf[count], laneOfPick[count] = text, idOf(text), ask, lane
  priorities[count], scores[count] = priority, lane.found[at + 1]
  lane.at, lane.taken = at + 2, lane.taken + 1
end

-- False if a bound was reached.
local function choose(ask)
  local queue = queueFor(ask.starts)
  if ask.n == 1 and ARGV[8] ~= "" then resume(queue, ARGV[8]) end
  local most = #ids + ask.max
  while #ids < most do
    local best = bestOf(queue)
    if best == nil then return true end
    if best == false or #ids == mostTasks then
      place = best and placeAt(queue.priority, best.score, best.text) or queue.place
      return false
    end
    local lane = best.lane
    local others = #queue.heap > 1 or queue.rank ~= nil
    repeat
      pick(ask, lane, queue.priority)
    until others or lane.at > #lane.found or #ids == most or #ids == mostTasks
  end
  return true
end

for n, ask in ipairs(asked) do
  if looked > mostLooked or (ask.max > 0 and not choose(ask)) then break end
  finished = n
end

-- ---- the claims

local SEEN = headPattern("bytes", "version", "claims", "attempt", "<priority")

-- Returns the JSON of the fields of a head between two fields, in the order of HEAD. `same` has their values, which all tasks of an ask share; the
-- fields that differ from task to task are put between these texts.
local function between(first, last, same)
  local parts = {}
  for at = PLACE[first] + 1, PLACE[last] - 1 do parts[#parts + 1] = same[HEAD[at]] end
  parts[#parts + 1] = ""
  return ",\n" .. table.concat(parts, ",\n")
end

local STARTED = { status = '"running"', updatedAt = nowText, startedAt = nowText }
local TO_VERSION, TO_CLAIMS = between("bytes", "version", STARTED), between("version", "claims", STARTED)
local TO_ATTEMPT, TO_TOKEN = between("claims", "attempt", STARTED), between("attempt", "token", STARTED)
for _, ask in ipairs(asked) do
  ask.ends = int(now + ask.leaseMs)
  local granted = { leaseUntil = ask.ends, leaseMs = ask.leaseMs, revokeAt = "null", worker = ask.worker }
  ask.lease = "." .. nonce .. '"' .. between("token", "priority", granted)
end

local stored, bodies = lookUp("heads", ids), lookUp("bodies", ids)
local heads, running, expires, changes, given, answers, bytes = {}, {}, {}, {}, {}, {}, 0
local left = {} -- lane → how many leave it
-- A number as text to the next one: most tasks of a claim have the same numbers, so each is written once.
local NEXT = setmetatable({}, { __index = function(known, number)
  known[number] = int(number + 1)
  return known[number]
end })
local CHANGE = " " .. STATUS_CODES.running .. "~"

for at, id in ipairs(ids) do
  local was = stored[at]
  local size, version, claims, attempt, rest = match(was, SEEN)
  local ask, lane = askOf[at], laneOfPick[at]
  if at > 1 and bytes + size > mostBytes then
    finished, place = ask.n - 1, placeOf(at)
    break
  end
  bytes = bytes + size
  version, claims, attempt, rest = NEXT[version], NEXT[claims], NEXT[attempt], sub(was, rest)
  local pair = 2 * at
  heads[pair - 1], running[pair - 1], expires[pair - 1] = id, id, ask.ends
  heads[pair] = size .. TO_VERSION .. version .. TO_CLAIMS .. claims .. TO_ATTEMPT .. attempt .. TO_TOKEN .. '"' .. claims .. ask.lease .. rest
  running[pair], expires[pair] = id, texts[at]
  given[at] = id
  answers[at] = "[" .. id .. "," .. version .. "," .. claims .. "," .. attempt .. "," .. rest .. "," .. bodies[at] .. "]"
  changes[at] = id .. " " .. version .. CHANGE
  left[lane] = (left[lane] or 0) + 1
  ask.given = ask.given + 1
end

many("HSET", "heads", heads)
many("HDEL", "progress", given)
for lane, leaving in pairs(left) do
  call("ZREMRANGEBYRANK", lane.key, 0, leaving - 1)
  count("pending", typeOf(lane.name), -leaving)
  count("running", typeOf(lane.name), leaving)
end
local seen, firsts = {}, {}
for name, lane in pairs(lanes) do
  if lane.found ~= nil then push(seen, name) end
end
for at, name in ipairs(seen) do firsts[at] = firstOf(name) end
noteFirsts(seen, firsts)
many("ZREM", "ids:pending", given)
makeTree("ids:running", #given)
makeTree("expires", #given)
many("ZADD", "ids:running", running)
many("ZADD", "expires", expires)
publish(changes, sender, {}, false)

local counts = {}
for n, ask in ipairs(asked) do counts[n] = ask.given end
if finished == asks then place = "" end
local answer = { finished, table.concat(counts, " "), place, bytes, "[" .. table.concat(answers, ",") .. "]" }
local payloads, results = lookUp("payloads", given), lookUp("results", given)
for at, id in ipairs(given) do
  if payloads[at] or results[at] then
    local count = #answer
    answer[count + 1], answer[count + 2], answer[count + 3] = id, payloads[at], results[at]
  end
end
return answer
