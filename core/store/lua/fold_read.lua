-- Records a command that only read, or counts it on the row of an equal one in the same window.
-- KEYS 1–4 audit of reads  5 row of equal reads
-- ARGV 1 limits of the audit of reads  2 window in ms  3 the audit row, a JSON list of names and values
-- Returns how often it happened in the window.
local row = redis.call('GET', KEYS[5])
if row and #redis.call('XRANGE', KEYS[1], row, row) == 1 then
  return redis.call('HINCRBY', KEYS[4], row, 1) + 1
end
redis.call('SET', KEYS[5], append_row(cjson.decode(ARGV[3])), 'PX', ARGV[2])
trim_rows()
return 1
