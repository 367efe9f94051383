#!lua flags=allow-oom
-- Tells the time, as proof that the server can do a store's work: it is refused where nothing can be written (on a replica, or
-- while the disk fails).
-- Returns: seconds and microseconds, as TIME does
-- Guards: the server is the one that is noted.
if mayLackWrites() then return OTHER_SERVER end
return call("TIME")
