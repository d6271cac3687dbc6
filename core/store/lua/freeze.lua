-- Sets or lifts the freeze.
-- KEYS 1 freeze
-- ARGV 1 'set'  2 who  3 record  4 ttl ms, 0: no end   or   1 'lift'  2 who, or '' for a freeze of anybody
-- Returns {1, record}: it was set, or lifted; {0, record}: it is somebody else's; {0, ''}: there is none to lift.
local record = redis.call('HGET', KEYS[1], 'record')
local mine = record and (ARGV[2] == '' or redis.call('HGET', KEYS[1], 'by') == ARGV[2])
if record and not mine then
  return {0, record}
end
if ARGV[1] == 'lift' then
  redis.call('DEL', KEYS[1])
  return {record and 1 or 0, record or ''}
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'by', ARGV[2], 'record', ARGV[3])
if tonumber(ARGV[4]) > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return {1, ARGV[3]}
