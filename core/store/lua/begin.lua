-- Begins a change, or changes nothing: takes all its leases, records its intent, removes the question that was answered
-- and enters the phase INTENT.
-- KEYS 1–4 audit  5 invocation  6 fence counter  7 question  8 freeze  9… leases to take, then leases that nobody may hold
-- ARGV 1 limits of the audit  2 invocation id  3 detail  4 token of the question, or ''  5 number of leases to take
-- 6 '1' if a freeze refuses it  7… record and ttl in ms of each of them, then the audit rows, each a JSON list of names and values
-- Returns {'gone'}: no such invocation; {'answered'}: no such question; {'frozen', record of the freeze}; {'busy', number of the lease, its record, ms it
-- has left}; or {'begun', the fencing number of each lease}.
if redis.call('EXISTS', KEYS[5]) == 0 then
  return {'gone'}
end
if ARGV[4] ~= '' and redis.call('EXISTS', KEYS[7]) == 0 then
  return {'answered'}
end
if ARGV[6] == '1' then
  local frozen = redis.call('HGET', KEYS[8], 'record')
  if frozen then
    return {'frozen', frozen}
  end
end
for i = 9, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return {'busy', i - 8, redis.call('HGET', KEYS[i], 'record') or '', redis.call('PTTL', KEYS[i])}
  end
end

local answer = {'begun'}
local arg = 7
for i = 9, 8 + tonumber(ARGV[5]) do
  local fence = redis.call('INCR', KEYS[6])
  redis.call('HSET', KEYS[i], 'fence', fence, 'record', ARGV[arg], 'invocation', ARGV[2])
  redis.call('PEXPIRE', KEYS[i], ARGV[arg + 1])
  answer[i - 7] = fence
  arg = arg + 2
end
append_rows(arg)
redis.call('HSET', KEYS[5], 'phase', 'intent', 'detail', ARGV[3])
if ARGV[4] ~= '' then
  redis.call('DEL', KEYS[7])
end
return answer
