-- Removes an invocation that was answered. Only deletes, so it works when the server's memory is full.
-- KEYS 1 invocation  2 index of invocations   ARGV 1 id
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])
