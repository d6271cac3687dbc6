-- Takes an unfinished invocation for reporting it: one winner, never from a living replica, and only if it is still as
-- the caller has read it.
-- KEYS 1–4 audit  5 invocation  6 index of invocations  7 heartbeat of its replica
-- ARGV 1 limits of the audit  2 id  3 phase read  4 number of outcomes read  5… audit rows, each a JSON list of names and
-- values
-- Returns 1 for the winner, else 0.
if redis.call('HGET', KEYS[5], 'phase') ~= ARGV[3] or redis.call('EXISTS', KEYS[7]) == 1 then
  return 0
end
local outcomes = 0
for _, field in ipairs(redis.call('HKEYS', KEYS[5])) do
  if string.match(field, '^outcome:%d+$') then
    outcomes = outcomes + 1
  end
end
if outcomes ~= tonumber(ARGV[4]) then
  return 0
end
redis.call('DEL', KEYS[5])
redis.call('ZREM', KEYS[6], ARGV[2])
append_rows(5)
return 1
