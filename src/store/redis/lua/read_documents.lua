#!lua flags=no-writes
-- Reads documents in the order of their names.
-- ARGV: 1 prefix, 2 the name to continue after ("" from the start), 3 now, 4 documents that are read at most, 5 bytes at most
-- Returns: the name to continue after ("" at the end), then of each document name, until, version and value
local start, after, now, most, mostBytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local from = "[" .. start
if after ~= "" then from = "(" .. after end
local names = call("ZRANGEBYLEX", prefix .. "note_names", from, "[" .. start .. "\255", "LIMIT", 0, most)
local answer, bytes = { "" }, 0
for at, name in ipairs(names) do
  local document = call("HGET", prefix .. "notes", name)
  local till, version, value = match(document, "^(%d+)\n(%d+)\n(.*)$")
  if tonumber(till) > now then
    push(answer, name, till)
    push(answer, version, value)
  end
  bytes = bytes + #document
  if at == most or bytes > mostBytes then
    answer[1] = name
    break
  end
end
return answer
