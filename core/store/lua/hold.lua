-- Takes a lease, or tells who has it.
-- KEYS 1 lease  2 fence counter   ARGV 1 record  2 ttl ms
-- Gives {fence} or {0, the holder's record, ms it has left}.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {0, redis.call('HGET', KEYS[1], 'record'), redis.call('PTTL', KEYS[1])}
end
local fence = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], 'fence', fence, 'record', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {fence}
