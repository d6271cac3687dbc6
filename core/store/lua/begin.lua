-- Begins a change, or changes nothing: takes all its leases, records its intent, removes the question that was answered
-- and enters the phase INTENT.
-- KEYS 1 invocation  2 audit  3 fence counter  4 question  5… leases to take, then leases that nobody may hold
-- ARGV 1 invocation id  2 detail  3 max audit rows  4 token of the question, or ''  5 number of leases to take  6… record and
-- ttl in ms of each of them, then the audit rows, each a JSON list of names and values
-- Returns {'gone'}: no such invocation; {'answered'}: no such question; {'busy', number of the lease, its record, ms it
-- has left}; or {'begun', the fencing number of each lease}.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'gone'}
end
if ARGV[4] ~= '' and redis.call('EXISTS', KEYS[4]) == 0 then
  return {'answered'}
end
for i = 5, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return {'busy', i - 4, redis.call('HGET', KEYS[i], 'record') or '', redis.call('PTTL', KEYS[i])}
  end
end

local answer = {'begun'}
local arg = 6
for i = 5, 4 + tonumber(ARGV[5]) do
  local fence = redis.call('INCR', KEYS[3])
  redis.call('HSET', KEYS[i], 'fence', fence, 'record', ARGV[arg], 'invocation', ARGV[1])
  redis.call('PEXPIRE', KEYS[i], ARGV[arg + 1])
  answer[i - 3] = fence
  arg = arg + 2
end
for i = arg, #ARGV do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', unpack(cjson.decode(ARGV[i])))
end
redis.call('HSET', KEYS[1], 'phase', 'intent', 'detail', ARGV[2])
if ARGV[4] ~= '' then
  redis.call('DEL', KEYS[4])
end
return answer
