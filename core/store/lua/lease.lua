-- Takes a lease that nobody holds.
-- KEYS 1 fence counter  2 lease   ARGV 1 record  2 ttl in ms
-- Returns {'busy', its record, ms it has left} or {'taken', its fencing number}.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return {'busy', redis.call('HGET', KEYS[2], 'record') or '', redis.call('PTTL', KEYS[2])}
end
local fence = redis.call('INCR', KEYS[1])
redis.call('HSET', KEYS[2], 'fence', fence, 'record', ARGV[1], 'invocation', '')
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {'taken', fence}
