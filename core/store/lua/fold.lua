-- Writes a refusal to the audit, or counts it on a row of its window: on the row of an equal refusal; beyond `per person`
-- rows of one person, on one row of that person; beyond `for all` rows of everybody, on one row for everybody.
-- KEYS 1–4 audit  5 row of equal refusals  6 the person's row  7 the person's rows  8 everybody's row  9 everybody's rows
-- ARGV 1 limits of the audit  2 window in ms  3 how often it happened  4 per person  5 for all  6 the audit row  7 the
-- person's row  8 everybody's row, each a JSON list of names and values
-- Returns how often the row's refusals happened in the window.
local function count_on(key)
  local row = redis.call('GET', key)
  if row and #redis.call('XRANGE', KEYS[1], row, row) == 1 then
    return redis.call('HINCRBY', KEYS[4], row, ARGV[3]) + 1
  end
end

local function rows_in_window(key)
  local number = redis.call('INCR', key)
  if number == 1 then
    redis.call('PEXPIRE', key, ARGV[2])
  end
  return number
end

local key, row = KEYS[5], ARGV[6]
local times = count_on(key)
if not times and rows_in_window(KEYS[7]) > tonumber(ARGV[4]) then
  key, row = KEYS[6], ARGV[7]
  times = count_on(key)
end
if not times and rows_in_window(KEYS[9]) > tonumber(ARGV[5]) then
  key, row = KEYS[8], ARGV[8]
  times = count_on(key)
end
if times then
  return times
end
local id = append_row(cjson.decode(row))
redis.call('SET', key, id, 'PX', ARGV[2])
if tonumber(ARGV[3]) > 1 then
  redis.call('HINCRBY', KEYS[4], id, ARGV[3] - 1)
end
trim_rows()
return tonumber(ARGV[3])
