-- Ends (ttl 0) or extends a lease, only if it still is the caller's own.
-- KEYS 1 lease   ARGV 1 fence  2 ttl ms
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
