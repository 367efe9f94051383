#!lua flags=no-writes
-- Finds tasks in the order of their ids. All statuses in one script: a task that changes its status is found in exactly one of them.
-- ARGV: 1 "id" or "-id", 2 the id to continue after ("" from the start), 3 ids at most of each status; then statuses
-- Returns: for each status its ids, in order; fewer than asked for when there are no more
local pages = {}
for at = 4, #ARGV do
  local set = prefix .. "ids:" .. ARGV[at]
  local after = ARGV[2] ~= "" and "(" .. ARGV[2]
  if ARGV[1] == "id" then
    pages[at - 3] = call("ZRANGEBYSCORE", set, after or "-inf", "+inf", "LIMIT", 0, ARGV[3])
  else
    pages[at - 3] = call("ZREVRANGEBYSCORE", set, after or "+inf", "-inf", "LIMIT", 0, ARGV[3])
  end
end
return pages
