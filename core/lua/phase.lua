-- Moves an invocation on, unless it is gone: taken over as unfinished by another replica, or expired.
-- KEYS 1 invocation   ARGV 1 phase  2 detail
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'phase', ARGV[1], 'detail', ARGV[2])
return 1
