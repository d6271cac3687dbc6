-- Begins a change, or changes nothing: takes all its leases, records its intent and enters the phase INTENT.
-- KEYS 1 invocation  2 audit  3 fence counter  4… leases
-- ARGV 1 invocation id  2 detail  3 max audit rows  4… record and ttl in ms of each lease, then the audit rows, each a
-- JSON list of names and values
-- Returns {'gone'}: no such invocation; {'busy', number of the lease, its record, ms it has left}; or {'begun', the
-- fencing number of each lease}.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'gone'}
end
for i = 4, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return {'busy', i - 3, redis.call('HGET', KEYS[i], 'record') or '', redis.call('PTTL', KEYS[i])}
  end
end

local answer = {'begun'}
local arg = 4
for i = 4, #KEYS do
  local fence = redis.call('INCR', KEYS[3])
  redis.call('HSET', KEYS[i], 'fence', fence, 'record', ARGV[arg], 'invocation', ARGV[1])
  redis.call('PEXPIRE', KEYS[i], ARGV[arg + 1])
  answer[i - 2] = fence
  arg = arg + 2
end
for i = arg, #ARGV do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', unpack(cjson.decode(ARGV[i])))
end
redis.call('HSET', KEYS[1], 'phase', 'intent', 'detail', ARGV[2])
return answer
