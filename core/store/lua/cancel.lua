-- Undoes a begun change that was never carried out, because the answer of `begin` was lost.
-- KEYS 1 invocation  2 audit  3… leases
-- ARGV 1 invocation id  2 max audit rows  3… audit rows, each a JSON list of names and values
-- Returns 1, or 0 if the change had not begun; then nothing is written.
if redis.call('HGET', KEYS[1], 'phase') ~= 'intent' then
  return 0
end
redis.call('HDEL', KEYS[1], '') -- see outcome.lua: works on a full server
for i = 3, #KEYS do
  if redis.call('HGET', KEYS[i], 'invocation') == ARGV[1] then
    redis.call('DEL', KEYS[i])
  end
end
for i = 3, #ARGV do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', unpack(cjson.decode(ARGV[i])))
end
redis.call('HSET', KEYS[1], 'phase', 'begun', 'detail', '')
return 1
