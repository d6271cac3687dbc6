-- Removes what is older than its limit: audit rows, a few at once, and entries of the index of unfinished invocations
-- whose records have expired. Only deletes, so it works when the server's memory is full.
-- KEYS 1–4 audit  5 index of invocations   ARGV 1 limits of the audit  2 ttl of an invocation's record in ms
-- Returns how many were removed.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local entries = redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', string.format('(%.0f', now_ms - ARGV[2]))
return entries + trim_rows()
