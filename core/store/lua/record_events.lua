-- Adds events to the history, each once, and removes the oldest ones beyond the limits. An event that is there already is
-- replaced if more is known of its cause now.
-- KEYS 1 rows by key  2 times  3 names  4 state
-- ARGV 1 limits, as JSON: rows, bytes, ms (the age)  2 how many events were lost before  3 time in µs of the newest of them
-- 4… key and row of each event
-- Returns how many events are new.
local limits = cjson.decode(ARGV[1])
local bytes = tonumber(redis.call('HGET', KEYS[4], 'bytes') or '0')
local added = 0
for i = 4, #ARGV, 2 do
  local key, text = ARGV[i], ARGV[i + 1]
  local known = redis.call('HGET', KEYS[1], key)
  if not known then
    bytes = bytes + add_event(key, text)
    added = added + 1
  elseif cjson.decode(text)[12] > cjson.decode(known)[12] then
    bytes = bytes - remove_event(key, known) + add_event(key, text)
  end
end
if tonumber(ARGV[2]) > 0 then
  redis.call('HINCRBY', KEYS[4], 'lost', ARGV[2])
  redis.call('HSET', KEYS[4], 'lost_until', ARGV[3])
end

-- Each call removes more rows than it adds, so the limits are respected in the long run.
local time = redis.call('TIME')
local oldest = string.format('%016.0f', (time[1] * 1000 - limits.ms) * 1000)
local rows = redis.call('ZCARD', KEYS[2])
for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, added + 63)) do
  local at = string.sub(member, 1, 16)
  local too_many = rows > limits.rows or bytes > limits.bytes
  if not too_many and at >= oldest then
    break
  end
  local key = string.match(member, '[^%z]*$')
  local text = redis.call('HGET', KEYS[1], key)
  if text then
    bytes = bytes - remove_event(key, text)
  end
  redis.call('ZREM', KEYS[2], member)
  rows = rows - 1
  if at >= oldest then
    redis.call('HSET', KEYS[4], 'cut_until', at)
  end
end
redis.call('HSET', KEYS[4], 'bytes', string.format('%.0f', math.max(0, bytes)))
return added
