-- Sets or removes a stored grant and raises the policy's version.
-- KEYS 1 grants  2 version   ARGV 1 id  [2 value: absent removes]
-- Returns {changed, version}. The version follows the clock. If it were a plain counter, a store that lost its last write
-- could give one number to two different sets of grants, and a replica would continue to use the wrong one.
local changed
if ARGV[2] then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  changed = 1
else
  changed = redis.call('HDEL', KEYS[1], ARGV[1])
end
-- A version that is no number (nil, or NaN, which differs from itself) is replaced.
local version = tonumber(redis.call('GET', KEYS[2]) or '0')
if not version or version ~= version then
  version = 0
end
if changed == 1 then
  local time = redis.call('TIME')
  version = math.max(version + 1, time[1] * 1000000 + time[2])
  redis.call('SET', KEYS[2], string.format('%.0f', version))
end
return {changed, string.format('%.0f', version)}
