-- Takes an unfinished invocation: one winner, never from a living replica, and only in the phase the taker saw.
-- KEYS 1 invocation  2 index of invocations  3 lease of its replica   ARGV 1 id  2 phase seen, or ''
local phase = redis.call('HGET', KEYS[1], 'phase')
if not phase or redis.call('EXISTS', KEYS[3]) == 1 or (ARGV[2] ~= '' and ARGV[2] ~= phase) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
