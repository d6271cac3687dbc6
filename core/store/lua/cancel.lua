-- Undoes a begun change that was never carried out, because the answer of `begin` was lost.
-- KEYS 1–4 audit  5 invocation  6… leases
-- ARGV 1 limits of the audit  2 invocation id  3… audit rows, each a JSON list of names and values
-- Returns 1, or 0 if the change had not begun; then nothing is written.
if redis.call('HGET', KEYS[5], 'phase') ~= 'intent' then
  return 0
end
redis.call('HDEL', KEYS[5], '') -- see outcome.lua: works on a full server
for i = 6, #KEYS do
  if redis.call('HGET', KEYS[i], 'invocation') == ARGV[2] then
    redis.call('DEL', KEYS[i])
  end
end
append_rows(3)
redis.call('HSET', KEYS[5], 'phase', 'begun', 'detail', '')
return 1
