-- Removes an entry from the queue of an outlet, unless its incident has changed again.
-- KEYS 1 queue of the outlet   ARGV 1 key  2 time of the change that was delivered, in µs
-- Returns 1 if it was removed.
local queued = redis.call('ZSCORE', KEYS[1], ARGV[1])
if queued and tonumber(queued) == tonumber(ARGV[2]) then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0
