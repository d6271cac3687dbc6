-- Moves what changed since the last call into the queue of one outlet, and returns the oldest entries of the queue
-- after a time.
-- KEYS 1 log of changes  2 cursor of the outlet  3 queue of the outlet
-- ARGV 1 how many changes to move at most  2 how many entries to return at most  3 the time in µs
-- Returns {number of entries in the queue, time of the oldest one in µs, key, time in µs, key, time, …}. The first call
-- starts at the present.
local cursor = redis.call('GET', KEYS[2])
if not cursor then
  local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  redis.call('SET', KEYS[2], last[2] or '0')
  return {0, '0'}
end
local changed = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. cursor, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[1])
for index = 1, #changed, 2 do
  redis.call('ZADD', KEYS[3], changed[index + 1], changed[index])
end
if #changed > 0 then
  redis.call('SET', KEYS[2], changed[#changed])
end
local entries = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local oldest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
table.insert(entries, 1, oldest[2] or '0')
table.insert(entries, 1, redis.call('ZCARD', KEYS[3]))
return entries
