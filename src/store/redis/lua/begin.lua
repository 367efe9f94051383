#!lua flags=allow-oom
-- The first script on every connection.
-- ARGV: 1 an epoch that was never used, 2 how many ids to skip after a possible loss, 3 the newest schema that this program knows
-- Returns: schema (0 if there was none), epoch
-- Guards: a store with a newer schema is not changed.
--
-- A server that was restarted, or a replica that was promoted, may lack the last acknowledged writes. Its rev is then lower, and a position
-- ahead of it would soon seem valid again; its last id is lower, and ids would be assigned twice. So the first connection to another
-- server, or to another run of it, begins a new epoch and skips more ids than can have been lost. Later connections find the
-- identity of the server in the data.
local house = prefix .. "house"
local schema = tonumber(call("HGET", house, "schema") or 0)
if schema > tonumber(ARGV[3]) then return { schema, "" } end

local epoch = call("HGET", house, "epoch")
if not epoch or mayLackWrites() then
  if epoch then call("HINCRBY", house, "id", ARGV[2]) end -- also if there is no id: the first ones may be lost
  epoch = ARGV[1]
  local run, replid = serverOf(infoOf("replication"))
  call("HSET", house, "epoch", epoch, "run", run, "replid", replid)
end
call("HSET", house, "schema", ARGV[3])
return { schema, epoch }
