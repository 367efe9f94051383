#!lua flags=allow-oom
-- Brings what is noted of some lanes up to date: for a store of schema 1, which did not note first tasks, and after a process of
-- that version has written. The caller goes on until both cursors have come round.
-- ARGV: 1 "lanes" or "firsts", which names the lanes; 2 cursor ("0" from the start), 3 about how many lanes
-- Returns: the cursor to go on from ("0" where there are no more)
if mayLackWrites() then return OTHER_SERVER end
local command = ARGV[1] == "lanes" and "ZSCAN" or "HSCAN"
local found = call(command, prefix .. ARGV[1], ARGV[2], "COUNT", ARGV[3])
local lanes = {}
for at = 1, #found[2], 2 do lanes[#lanes + 1] = found[2][at] end
local firsts = {}
for at, lane in ipairs(lanes) do firsts[at] = firstOf(lane) end
noteFirsts(lanes, firsts)
return found[1]
