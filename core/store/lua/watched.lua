-- Records that somebody watches now.
-- KEYS 1 when somebody watched last, in ms   ARGV 1 ms until the record expires
-- Returns how many ms ago that was; 0 if it is not known.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], string.format('%.0f', now), 'PX', ARGV[1])
return last and now - tonumber(last) or 0
