#!lua flags=allow-oom
-- The first script on every connection, before anybody writes through it.
-- ARGV: 1 an epoch that was never used, 2 how many ids to skip after a possible loss, 3 the newest schema that is known
-- Returns: schema (0 where there was none), epoch
-- Guards: leaves a store with a newer schema alone.
--
-- A server that went down may have lost the last writes that it answered: its rev goes back, and a position that was ahead
-- would soon seem to be good again; its id goes back, and ids would be given twice. Whoever writes has connected before, so
-- the first connection to another run of the server (or to another server, after a failover) begins a new epoch and leaves
-- out more ids than can have been lost.
local house = prefix .. "house"
local schema = tonumber(call("HGET", house, "schema") or 0)
if schema > tonumber(ARGV[3]) then return { schema, "" } end

local ok, info = pcall(call, "INFO", "server")
local run = ok and match(info, "run_id:(%w+)") or "unknown"
local epoch, seen = call("HGET", house, "epoch"), call("HGET", house, "run")
if not epoch or run ~= seen then
  if epoch and call("HEXISTS", house, "id") == 1 then call("HINCRBY", house, "id", ARGV[2]) end
  epoch = ARGV[1]
  call("HSET", house, "epoch", epoch, "run", run)
end
call("HSET", house, "schema", ARGV[3])
return { schema, epoch }
