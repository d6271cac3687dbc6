-- Takes an unfinished invocation for reporting it: one winner, never from a living replica, and only if it is still as
-- the caller has read it.
-- KEYS 1 invocation  2 index of invocations  3 heartbeat of its replica  4 audit
-- ARGV 1 id  2 phase read  3 number of outcomes read  4 max audit rows  5… audit rows, each a JSON list of names and values
-- Returns 1 for the winner, else 0.
if redis.call('HGET', KEYS[1], 'phase') ~= ARGV[2] or redis.call('EXISTS', KEYS[3]) == 1 then
  return 0
end
local outcomes = 0
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.match(field, '^outcome:%d+$') then
    outcomes = outcomes + 1
  end
end
if outcomes ~= tonumber(ARGV[3]) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
for i = 5, #ARGV do
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[4], '*', unpack(cjson.decode(ARGV[i])))
end
return 1
