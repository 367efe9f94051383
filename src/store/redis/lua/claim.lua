#!lua flags=allow-oom
-- Gives due tasks to workers, as lifecycle.claim does.
-- ARGV: 1 now, 2 nonce as JSON without its quotes, 3 sender, 4 tasks at most, 5 bytes at most, 6 asks; then each ask: worker
--   as JSON, leaseMs, max, number of lane prefixes, lane prefixes
-- Returns: how many asks have all that there is for them, the tasks given to each ask as text parted by blanks, then of each
--   task, ask by ask: id, head, body, payload, result. Where not all asks are done a bound was met, and the caller goes on.
-- Guards: pending and due, for only such stand in a lane up to now; an earlier ask has the first choice.
if mayLackWrites() then return OTHER_SERVER end
local now, nonce, sender = ARGV[1], ARGV[2], ARGV[3]
local mostTasks, mostBytes, asks = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

-- ---- the asks

local asked, wanted = {}, 0
local cursor = 7
for n = 1, asks do
  local ask = { worker = ARGV[cursor], leaseMs = ARGV[cursor + 1], max = tonumber(ARGV[cursor + 2]), given = 0, n = n }
  local types = tonumber(ARGV[cursor + 3])
  ask.lanes = {}
  for at = 1, types do ask.lanes[at] = ARGV[cursor + 3 + at] end
  wanted = wanted + ask.max
  asked[n] = ask
  cursor = cursor + 4 + types
end
wanted = math.min(wanted, mostTasks)

-- ---- lanes: read in pieces from their heads, `at` is the next to be taken

local lanes = {}

local function read(lane)
  local found = call("ZRANGEBYSCORE", lane.key, "-inf", now, "WITHSCORES", "LIMIT", lane.read, lane.piece)
  lane.found, lane.at = found, 1
  lane.read = lane.read + #found / 2
  if #found < 2 * lane.piece then lane.isWhole = true end
end

local function headOf(lane)
  if lane.at > #lane.found and not lane.isWhole then read(lane) end
  return lane.found[lane.at]
end

local function laneOf(name)
  local lane = lanes[name]
  if lane == nil then
    lane = { name = name, key = prefix .. "lane:" .. name, priority = tonumber(match(name, "%-?%d+$")) }
    lane.found, lane.at, lane.read, lane.taken = {}, 1, 0, 0
    lanes[name] = lane
  end
  return lane
end

-- ---- a heap of lanes of one priority, the one with the best head on top. Another heap may have taken what an entry stands
-- for; entries only get worse by that, so it is enough to look again when one comes to the top.

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

-- False where the lane has nothing due any more.
local function look(entry)
  local lane = entry.lane
  local text = headOf(lane)
  if text == nil then return false end
  entry.text, entry.score, entry.taken = text, tonumber(lane.found[lane.at + 1]), lane.taken
  return true
end

local function renewTop(heap)
  if not look(heap[1]) then
    heap[1] = heap[#heap]
    heap[#heap] = nil
  end
  if #heap > 1 then sink(heap, 1) end
end

local function heapOf(group)
  local heap = {}
  for _, lane in ipairs(group) do
    local entry = { lane = lane }
    if look(entry) then heap[#heap + 1] = entry end
  end
  for at = math.floor(#heap / 2), 1, -1 do sink(heap, at) end
  return heap
end

-- ---- a queue for each set of types: its lanes by priority, which are looked at only when all above them is given out

-- Lanes that are found before the script lets others go first; an ask that has begun is finished.
local FOUND = 10000
local queues, found = {}, 0

local function groupsOf(starts)
  local groups, priorities, known = {}, {}, {}
  for _, start in ipairs(starts) do
    local names = call("ZRANGEBYLEX", prefix .. "lanes", "[" .. start, "[" .. start .. "\255")
    found = found + #names
    for _, name in ipairs(names) do
      if not known[name] then
        known[name] = true
        local lane = laneOf(name)
        local group = groups[lane.priority]
        if group == nil then
          group = {}
          groups[lane.priority] = group
          priorities[#priorities + 1] = lane.priority
        end
        group[#group + 1] = lane
      end
    end
  end
  table.sort(priorities, function(a, b) return a > b end)
  return groups, priorities
end

local function queueFor(starts)
  local called = table.concat(starts, "\n")
  local queue = queues[called]
  if queue == nil then
    queue = { heap = {}, at = 0 }
    queue.groups, queue.priorities = groupsOf(starts)
    queues[called] = queue
  end
  return queue
end

-- The entry with the best task that is left; nil where there is none.
local function bestOf(queue)
  while true do
    local top = queue.heap[1]
    if top == nil then
      queue.at = queue.at + 1
      local group = queue.groups[queue.priorities[queue.at]]
      if group == nil then return nil end
      for _, lane in ipairs(group) do
        if lane.piece == nil then lane.piece = math.max(1, math.ceil(wanted / #group)) end
      end
      queue.heap = heapOf(group)
    elseif top.taken ~= top.lane.taken then
      renewTop(queue.heap)
    else
      return top
    end
  end
end

-- ---- the choice

local ids, texts, askOf, laneOfPick = {}, {}, {}, {} -- of each pick, in order
local finished = 0

-- False where it met the bound.
local function choose(ask)
  local queue = queueFor(ask.lanes)
  for _ = 1, ask.max do
    local best = bestOf(queue)
    if best == nil then return true end
    if #ids == mostTasks then return false end
    local count, lane = #ids + 1, best.lane
    texts[count], ids[count], askOf[count], laneOfPick[count] = best.text, idOf(best.text), ask, lane
    lane.at, lane.taken = lane.at + 2, lane.taken + 1
  end
  return true
end

for n, ask in ipairs(asked) do
  if found > FOUND or (ask.max > 0 and not choose(ask)) then break end
  finished = n
end

-- ---- the claims

-- bytes, version, claims, attempt, and all from the priority on
local HEAD = '^(%d+),\n"%a+",\n(%d+),\n(%d+),\n(%d+),\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n(.*)$'

local stored = lookUp("heads", ids)
local heads, running, expires, changes, given, bytes = {}, {}, {}, {}, {}, 0
local left = {} -- lane → how many leave it

for at, id in ipairs(ids) do
  local size, version, claims, attempt, rest = match(stored[at], HEAD)
  bytes = bytes + size
  local ask, lane = askOf[at], laneOfPick[at]
  if at > 1 and bytes > mostBytes then
    finished = math.min(finished, ask.n - 1)
    break
  end
  local count, ends, nextVersion = int(claims + 1), int(now + ask.leaseMs), int(version + 1)
  local head = size .. ',\n"running",\n' .. nextVersion .. ",\n" .. count .. ",\n" .. int(attempt + 1) .. ",\n" .. now .. ",\n"
    .. now .. ',\n"' .. count .. "." .. nonce .. '",\n' .. ends .. ",\n" .. ask.leaseMs .. ",\nnull,\n" .. ask.worker .. ",\n" .. rest
  push(heads, id, head)
  given[at] = id
  left[lane] = (left[lane] or 0) + 1
  ask.given = ask.given + 1
  push(running, id, id)
  push(expires, ends, texts[at])
  changes[at] = change(id, nextVersion, "r~")
end

many("HSET", "heads", heads)
many("HDEL", "progress", given)
for lane, leaving in pairs(left) do
  call("ZREMRANGEBYRANK", lane.key, 0, leaving - 1)
  count("pending", typeOf(lane.name), -leaving)
  count("running", typeOf(lane.name), leaving)
  noteEmptyLane("lane:" .. lane.name)
end
many("ZREM", "ids:pending", given)
many("ZADD", "ids:running", running)
many("ZADD", "expires", expires)
tell(changes, sender, {})

local counts = {}
for n, ask in ipairs(asked) do counts[n] = ask.given end
local answer = { finished, table.concat(counts, " ") }
local bodies, payloads, results = lookUp("bodies", given), lookUp("payloads", given), lookUp("results", given)
for at, id in ipairs(given) do
  local to = 5 * at - 2
  answer[to], answer[to + 1], answer[to + 2] = id, heads[2 * at], bodies[at]
  answer[to + 3], answer[to + 4] = payloads[at], results[at]
end
return answer
