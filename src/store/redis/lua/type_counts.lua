#!lua flags=no-writes
-- Counts tasks by status and type, a piece at a time: one script holds all of a type's counts, and a small store's all types.
-- ARGV: 1 cursor into the counts, 2 cursor into the first tasks of the lanes ("0" from the start, "" for none), 3 the approximate
--   number of each
-- Returns: both cursors to continue from ("" at the end); then a list of types (as JSON), each with its number of tasks in each of
--   STATUSES (false for none); then a list of types, each with the earliest time among the first tasks of its lanes that were read
local function piece(name, cursor)
  if cursor == "" then return "", {} end
  local found = call("HSCAN", prefix .. name, cursor, "COUNT", ARGV[3])
  return found[1] == "0" and "" or found[1], found[2]
end

-- A piece has some counts of a type and not the others, so only its types are used.
local nextCount, counted = piece("census", ARGV[1])
local types, known, fields = {}, {}, {}
for at = 1, #counted, 2 do
  local type = match(counted[at], "^%a+:(.*)$")
  if not known[type] then
    known[type] = true
    types[#types + 1] = type
    for _, status in ipairs(STATUSES) do fields[#fields + 1] = status .. ":" .. type end
  end
end
local values, counts = lookUp("census", fields), {}
for at, type in ipairs(types) do
  counts[#counts + 1] = type
  for n = 1, #STATUSES do counts[#counts + 1] = values[(at - 1) * #STATUSES + n] end
end

local nextFirst, firsts = piece("firsts", ARGV[2])
local earliest = {}
for at = 1, #firsts, 2 do push(earliest, typeOf(firsts[at]), match(firsts[at + 1], "%S+$")) end
return { nextCount, nextFirst, counts, earliest }
