-- Adds and removes events of the history, with their index.
-- KEYS 1 rows by key  2 times  3 names  4 state
-- A row is a JSON list: engine, time in µs, time in ns, origin, type, action, kind, kind of the resource, its id, its name,
-- attributes, how much is known of its cause. A member of `times` is TIME \0 ENGINE \0 TYPE \0 ACTION \0 KIND \0 KEY, a
-- member of `names` is NAME \0 TIME \0 KEY, so that members are in the order of their times.
local ROW_BYTES, MEMBER_BYTES = 80, 70 -- what the server needs for each, besides its text (measured)

local function members(key, text, row)
  local time = row[2]
  local of_times = table.concat({time, row[1], row[5], row[6], row[7], key}, '\0')
  local of_names = {}
  local function add(name)
    if name and name ~= '' then
      of_names[#of_names + 1] = table.concat({name, time, key}, '\0')
    end
  end
  add(row[10])
  add(row[11].old_name)
  if row[8] == 'container' then
    add('#' .. string.sub(row[9], 1, 12))
  end
  local bytes = ROW_BYTES + #key + #text + MEMBER_BYTES + #of_times
  for _, member in ipairs(of_names) do
    bytes = bytes + MEMBER_BYTES + #member
  end
  return of_times, of_names, bytes
end

local function add_event(key, text)
  local of_times, of_names, bytes = members(key, text, cjson.decode(text))
  redis.call('HSET', KEYS[1], key, text)
  redis.call('ZADD', KEYS[2], 0, of_times)
  for _, member in ipairs(of_names) do
    redis.call('ZADD', KEYS[3], 0, member)
  end
  return bytes
end

local function remove_event(key, text)
  local of_times, of_names, bytes = members(key, text, cjson.decode(text))
  redis.call('HDEL', KEYS[1], key)
  redis.call('ZREM', KEYS[2], of_times)
  for _, member in ipairs(of_names) do
    redis.call('ZREM', KEYS[3], member)
  end
  return bytes
end
