#!lua flags=allow-oom
-- Reads the time. It is a script that may write, so it is refused if nothing can be written (on a replica, or while the disk
-- fails), and its answer proves that the server takes writes.
-- Returns: seconds and microseconds, as TIME does
-- Guards: the server is the one that the key `house` names.
if mayLackWrites() then return OTHER_SERVER end
return call("TIME")
