#!lua flags=no-writes
-- Reads a task's log lines.
-- ARGV: 1 id, 2 the number to continue after, 3 lines at most, 4 bytes at most
-- Returns: the number of the first line, then the lines; fewer than there are when a bound is reached
local log = prefix .. "log:" .. ARGV[1]
local last = tonumber(call("HGET", prefix .. "lines", ARGV[1]) or 0)
local size = call("LLEN", log)
local first = math.max(last - size, tonumber(ARGV[2])) + 1
if first > last then return { first } end
local from = size - (last - first + 1)
local lines, bytes = { first }, 0
for at = from, math.min(size, from + ARGV[3]) - 1, 10 do
  for _, line in ipairs(call("LRANGE", log, at, math.min(size, from + ARGV[3], at + 10) - 1)) do push(lines, line); bytes = bytes + #line end
  if bytes > tonumber(ARGV[4]) then break end
end
return lines
