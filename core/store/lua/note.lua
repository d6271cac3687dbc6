-- Sets fields of an invocation, unless it is gone: taken over by another replica, answered, or expired. Returns 1 or 0.
-- KEYS 1 invocation   ARGV names and values
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
