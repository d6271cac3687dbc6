-- Releases leases that still belong to the caller. Only deletes, so it works when the server's memory is full.
-- KEYS leases   ARGV the fencing number of each
-- Returns how many were released.
local released = 0
for i = 1, #KEYS do
  if redis.call('HGET', KEYS[i], 'fence') == ARGV[i] then
    released = released + redis.call('DEL', KEYS[i])
  end
end
return released
