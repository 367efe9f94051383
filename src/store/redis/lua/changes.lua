#!lua flags=no-writes
-- Reads the change log.
-- ARGV: 1 and 2 epoch and rev to continue after (a rev of "" for the present end), 3 changes at most
-- Returns: "changes", "gone" or "lost" (the store has no epoch because it was emptied), epoch, the last rev; with "gone" the rev
--   before the oldest kept change; with "changes" the last rev and the changes of each entry, from the entry with the next change
local epoch = call("HGET", prefix .. "house", "epoch")
if not epoch then return { "lost" } end
local last = tonumber(call("HGET", prefix .. "house", "rev") or 0)
local answer = { "changes", epoch, last }
if ARGV[2] == "" then return answer end

local function gone()
  local first = call("XRANGE", prefix .. "changes", "-", "+", "COUNT", 1)[1]
  return { "gone", epoch, last, first and match(first[1], "^%d+") - first[2][4] or last }
end
local rev, most = tonumber(ARGV[2]), tonumber(ARGV[3])
if ARGV[1] ~= epoch or rev > last then return gone() end
local found = 0
while rev < last and found < most do
  -- An entry is named by its last rev: the first one from here on has the next change, if it is still kept.
  local entries = call("XRANGE", prefix .. "changes", int(rev + 1) .. "-0", "+", "COUNT", 16)
  if #entries == 0 then return gone() end
  for _, entry in ipairs(entries) do
    local ends, size = tonumber(match(entry[1], "^%d+")), tonumber(entry[2][4])
    if ends - size > rev then return gone() end
    found = found + ends - rev
    rev = ends
    push(answer, int(ends), entry[2][6])
    if found >= most then break end
  end
end
return answer
