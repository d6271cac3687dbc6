-- Writes a refusal to the audit, or counts it on the row of an equal one within the window.
-- KEYS 1 audit  2 fold (the row equal refusals count on)  3 repeats by row  4 rows with repeats, by time
-- ARGV 1 window ms  2 max rows  3… names and values of the row
-- Returns how often this refusal happened in its window.
local row = redis.call('GET', KEYS[2])
if row and #redis.call('XRANGE', KEYS[1], row, row) == 1 then
  redis.call('ZADD', KEYS[4], string.match(row, '^%d+'), row)
  return redis.call('HINCRBY', KEYS[3], row, 1) + 1
end

row = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
redis.call('SET', KEYS[2], row, 'PX', ARGV[1])

-- Removes the counts of rows that were trimmed away, a few at a time.
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
local gone = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', '(' .. string.match(oldest, '^%d+'), 'LIMIT', 0, 32)
if #gone > 0 then
  redis.call('HDEL', KEYS[3], unpack(gone))
  redis.call('ZREM', KEYS[4], unpack(gone))
end
return 1
