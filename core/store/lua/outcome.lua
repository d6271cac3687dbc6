-- Records how actions ended; with leases and a phase, ends their change too. Repeating it changes nothing.
-- KEYS 1–4 audit  5 invocation  6… leases
-- ARGV 1 limits of the audit  2 new phase, or ''  3 its detail  4… the fencing number of each lease, then for each action
-- its number in the plan, its status and its audit row (a JSON list of names and values)
-- Returns 1, or 0 if the invocation is gone; the audit rows are written all the same.

-- This write changes nothing and needs no memory. A server whose memory is full lets a script run to its end once such a
-- write was made (EVAL's documentation), so what has happened is recorded even then.
redis.call('HDEL', KEYS[5], '')
for i = 6, #KEYS do
  if redis.call('HGET', KEYS[i], 'fence') == ARGV[i - 2] then
    redis.call('DEL', KEYS[i])
  end
end

local exists = redis.call('EXISTS', KEYS[5])
for i = #KEYS - 1, #ARGV, 3 do
  if exists == 0 or redis.call('HSETNX', KEYS[5], 'outcome:' .. ARGV[i], ARGV[i + 1]) == 1 then
    append_row(cjson.decode(ARGV[i + 2]))
  end
end
trim_rows()
if exists == 1 and ARGV[2] ~= '' then
  redis.call('HSET', KEYS[5], 'phase', ARGV[2], 'detail', ARGV[3])
end
return exists
