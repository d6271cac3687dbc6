-- Stores an incident, if the stored one is still as the caller has read it.
-- KEYS 1 incidents  2 changed  3 log of changes  4 greatest time in the log  5 incidents of each message
-- ARGV 1 key  2 value read, empty for none  3 new value  4 'changed' marks it as changed and logs that, 'marked' only
-- marks it, 'told' removes the mark, 'kept' leaves the mark as it is  5 the message that the new value is in, empty for
-- none, as in KEYS 5
-- Returns 1, or 0 if another process was faster.
local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stored ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[5] ~= '' then
  redis.call('ZADD', KEYS[5], 0, ARGV[5])
end
if ARGV[4] == 'changed' then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
  -- Each change has a time of its own, greater than all before it, so that a reader of the log misses none.
  local at = math.max(time[1] * 1000000 + time[2], tonumber(redis.call('GET', KEYS[4]) or '0') + 1)
  redis.call('SET', KEYS[4], string.format('%.0f', at))
  redis.call('ZADD', KEYS[3], string.format('%.0f', at), ARGV[1])
elseif ARGV[4] == 'marked' then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[2], 'NX', time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
elseif ARGV[4] == 'told' then
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return 1
