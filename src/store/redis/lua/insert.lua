#!lua
-- Creates tasks.
-- ARGV: 1 now, 2 sender, 3 requests; then each request: idempotency as JSON of [scope, key] ("" for none), fingerprint,
--   until, drafts; then each draft: head, body, payload ("" for none), key as JSON ("" for none), lane, run_at, the type if
--   it is due ("" if not)
-- Returns: for each request "mismatch", or its tasks as JSON: [["created" or "repeated"], [id, existing], …]
-- Guards: an idempotency key that is known and not expired; a live key, also of an earlier draft of this call.
if mayLackWrites() then return OTHER_SERVER end
local now, sender, requests = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local at = 4
local first = tonumber(call("HGET", prefix .. "house", "id") or 0)
local last = first
local heads, bodies, payloads, keys = {}, {}, {}, {}
local changes, due, answers = {}, {}, {}
local taken, remembered = {}, {} -- of this call

local function holderOf(key)
  return taken[key] or call("HGET", prefix .. "keys", key)
end

local function insertDraft(from)
  local payload, key, lane = ARGV[from + 2], ARGV[from + 3], ARGV[from + 4]
  local holder = key ~= "" and holderOf(key)
  if holder then return ",[" .. holder .. ",true]" end
  last = last + 1
  local id = int(last)
  push(heads, id, ARGV[from])
  push(bodies, id, ARGV[from + 1])
  if payload ~= "" then push(payloads, id, payload) end
  if key ~= "" then
    taken[key] = id
    push(keys, key, id)
  end
  enter("ids:pending", id, id)
  enter("lane:" .. lane, ARGV[from + 5], member(id))
  count("pending", typeOf(lane), 1)
  changes[#changes + 1] = change(id, "1", "pending", "+")
  if ARGV[from + 6] ~= "" then addDue(due, ARGV[from + 6]) end
  return ",[" .. id .. ",false]"
end

local function insertDrafts(from, drafts)
  local tasks = {}
  for n = 0, drafts - 1 do tasks[n + 1] = insertDraft(from + n * 7) end
  return table.concat(tasks)
end

local function earlierAnswer(name, fingerprint)
  local known = remembered[name] or call("GET", prefix .. "idem:" .. name)
  if not known then return nil end
  local ends, earlier, tasks = match(known, "^([^\n]*)\n([^\n]*)\n(.*)$")
  if tonumber(ends) <= now then return nil end
  if earlier ~= fingerprint then return "mismatch" end
  return '[["repeated"]' .. tasks .. "]"
end

for request = 1, requests do
  local name, fingerprint, ends, drafts = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local answer = name ~= "" and earlierAnswer(name, fingerprint)
  if not answer then
    local tasks = insertDrafts(at + 4, drafts)
    if name ~= "" then remembered[name] = ends .. "\n" .. fingerprint .. "\n" .. tasks end
    answer = '[["created"]' .. tasks .. "]"
  end
  answers[request] = answer
  at = at + 4 + drafts * 7
end

if last > first then call("HSET", prefix .. "house", "id", int(last)) end
many("HSET", "heads", heads)
many("HSET", "bodies", bodies)
many("HSET", "payloads", payloads)
many("HSET", "keys", keys)
carryOut()
-- `until` is compared with the caller's time; the server's own expiry only cleans up, an hour later.
for name, known in pairs(remembered) do
  local left = math.max(0, tonumber(match(known, "^[^\n]*")) - now)
  call("SET", prefix .. "idem:" .. name, known, "PX", int(left + 3600000))
end
publish(changes, sender, due, false)
return answers
