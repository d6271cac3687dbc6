-- Replaces a value and keeps its time, if it is still as the caller has read it. Returns 1, or 0 if it is not.
-- KEYS 1 key   ARGV 1 value read  2 new value
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
