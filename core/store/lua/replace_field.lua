-- Replaces one field of a hash, if it is still as the caller has read it.
-- KEYS 1 hash
-- ARGV 1 field  2 value read  3 new value, empty to remove the field
-- Returns 1, or 0 if another process was faster.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
