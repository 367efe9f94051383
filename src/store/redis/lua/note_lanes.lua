#!lua flags=allow-oom
-- Brings the stored first tasks of some lanes up to date: for a store of schema 1, which has none, and after a process of that
-- version has written. The caller repeats it until both cursors are at the end.
-- ARGV: 1 "lanes" or "firsts": the key that lists the lanes; 2 cursor ("0" from the start), 3 the approximate number of lanes
-- Returns: the cursor to continue from ("0" at the end)
if mayLackWrites() then return OTHER_SERVER end
local command = ARGV[1] == "lanes" and "ZSCAN" or "HSCAN"
local found = call(command, prefix .. ARGV[1], ARGV[2], "COUNT", ARGV[3])
local lanes = {}
for at = 1, #found[2], 2 do lanes[#lanes + 1] = found[2][at] end
local firsts = {}
for at, lane in ipairs(lanes) do firsts[at] = firstOf(lane) end
noteFirsts(lanes, firsts)
return found[1]
