-- Renews leases that still belong to the caller. Needs no new memory, so it works when the server's memory is full.
-- KEYS leases   ARGV 1 ttl in ms  2… the fencing number of each
-- Returns how many were renewed.
local renewed = 0
for i = 1, #KEYS do
  if redis.call('HGET', KEYS[i], 'fence') == ARGV[i + 1] then
    renewed = renewed + redis.call('PEXPIRE', KEYS[i], ARGV[1])
  end
end
return renewed
