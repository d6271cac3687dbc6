-- Offers the first admin's one-time code, or tries one. Only the newest code is open; it ends when it is used, after its
-- tries, or with its ttl.
-- KEYS 1 claim   ARGV 1 offer|try  2 digest  [3 ttl ms  4 tries]
-- Returns for offer 1; for try 1 (right, now used up), 0 (wrong) or -1 (no code is open).
if ARGV[1] == 'offer' then
  redis.call('HSET', KEYS[1], 'digest', ARGV[2], 'tries', ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 1
end
local digest = redis.call('HGET', KEYS[1], 'digest')
if not digest then
  return -1
end
if digest == ARGV[2] then
  redis.call('DEL', KEYS[1])
  return 1
end
if redis.call('HINCRBY', KEYS[1], 'tries', -1) <= 0 then
  redis.call('DEL', KEYS[1])
end
return 0
