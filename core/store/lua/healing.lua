-- Stores the record of a healing policy, if the stored one is still as the caller has read it.
-- KEYS 1 records   ARGV 1 policy  2 value read, empty for none  3 new value
-- Returns 1, or 0 if another process was faster.
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
