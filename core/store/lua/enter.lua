-- Admits one invocation: not seen before, and within the requester's rate limit. Uses the server's clock.
-- KEYS 1 once  2 rate  3 policy version  4 invocation  5 index of invocations  6 people
--      7 freeze
-- ARGV 1 id  2 once ttl ms  3 interval µs  4 burst  5 record  6 replica  7 record ttl ms  8 who  9 their name or empty
--      10 most people
-- Returns {first, µs to wait (0: allowed), policy version, record of the freeze or ''}.
local version = redis.call('GET', KEYS[3]) or '0'
local frozen = redis.call('HGET', KEYS[7], 'record') or ''
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[2]) then
  return {0, 0, version, frozen}
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[3])
local depth = interval * tonumber(ARGV[4])

-- GCRA: `spent` is when the requester's bucket is full again. It is capped, so that neither a server clock set back nor a
-- stricter rate can lock anybody out for longer than one full bucket.
local spent = tonumber(redis.call('GET', KEYS[2]) or '0')
if not spent or spent ~= spent then
  spent = 0
end
spent = math.min(math.max(spent, now), now + depth)
local wait = spent + interval - now - depth
if wait > 0 then
  return {1, math.ceil(wait), version, frozen}
end
spent = spent + interval
redis.call('SET', KEYS[2], string.format('%.0f', spent), 'PX', math.max(1, math.ceil((spent - now) / 1000)))

redis.call('HSET', KEYS[4], 'record', ARGV[5], 'phase', 'begun', 'detail', '', 'replica', ARGV[6])
redis.call('PEXPIRE', KEYS[4], ARGV[7])
redis.call('ZADD', KEYS[5], string.format('%.0f', now / 1000), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', string.format('(%.0f', now / 1000 - ARGV[7]))
if ARGV[9] ~= '' then
  local known = redis.call('HGET', KEYS[6], ARGV[8])
  if known ~= ARGV[9] and (known or redis.call('HLEN', KEYS[6]) < tonumber(ARGV[10])) then
    redis.call('HSET', KEYS[6], ARGV[8], ARGV[9])
  end
end
return {1, 0, version, frozen}
