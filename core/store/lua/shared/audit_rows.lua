-- Appends rows to the audit, indexes them, and removes the oldest rows beyond the limits.
-- KEYS 1 audit  2 index  3 state (bytes, trimmed)  4 repeats by row
-- ARGV 1 limits, as JSON: rows, bytes, ms (the age; 0: no limit)
-- A row is a list of names and values. A member of the index is KIND \0 NAME \0 ID; its kinds are w (who), t (target) and
-- p (phase). IDs are padded, so that members of one name are in the order of their rows.
local ROW_BYTES, MEMBER_BYTES = 110, 110 -- what the server needs for each, besides its text
local MAX_TARGETS, MAX_TRIMMED = 50, 64

local function measure(id, row)
  local fields, bytes, members = {}, ROW_BYTES, {}
  for i = 1, #row, 2 do
    fields[row[i]] = row[i + 1]
    bytes = bytes + #row[i] + #row[i + 1]
  end
  local ms, number = string.match(id, '^(%d+)-(%d+)$')
  local padded = string.format('%013d-%06d', ms, number)
  local function add(kind, name)
    if name and name ~= '' then
      members[#members + 1] = kind .. '\0' .. name .. '\0' .. padded
      bytes = bytes + #members[#members] + MEMBER_BYTES
    end
  end
  add('w', fields.who)
  if fields.phase == 'refused' then
    add('p', fields.phase)
  end
  local targets = 0
  for target in string.gmatch(fields.target or '', '%s*([^,]+)') do
    targets = targets + 1
    if targets > MAX_TARGETS then
      break
    end
    add('t', target)
  end
  return members, bytes
end

local function append_row(row)
  local id = redis.call('XADD', KEYS[1], '*', unpack(row))
  local members, bytes = measure(id, row)
  for _, member in ipairs(members) do
    redis.call('ZADD', KEYS[2], 0, member)
  end
  redis.call('HINCRBY', KEYS[3], 'bytes', bytes)
  return id
end

-- Each call removes at most MAX_TRIMMED rows, which is more than any script appends in the long run. Returns how many.
local function trim_rows()
  local limits = cjson.decode(ARGV[1])
  local rows = redis.call('XLEN', KEYS[1])
  local bytes = tonumber(redis.call('HGET', KEYS[3], 'bytes') or '0')
  local oldest_ms = 0
  if limits.ms > 0 then
    local time = redis.call('TIME')
    oldest_ms = time[1] * 1000 + math.floor(time[2] / 1000) - limits.ms
  end
  local function is_due(id)
    return rows > limits.rows or bytes > limits.bytes or tonumber(string.match(id, '^%d+')) < oldest_ms
  end

  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  if not first or not is_due(first[1]) then
    return 0
  end
  local trimmed = 0
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', MAX_TRIMMED)) do
    if rows <= 1 or not is_due(entry[1]) then
      break
    end
    local members, size = measure(entry[1], entry[2])
    redis.call('XDEL', KEYS[1], entry[1])
    redis.call('HDEL', KEYS[4], entry[1])
    if #members > 0 then
      redis.call('ZREM', KEYS[2], unpack(members))
    end
    rows, bytes, trimmed = rows - 1, math.max(0, bytes - size), trimmed + 1
  end
  redis.call('HSET', KEYS[3], 'bytes', string.format('%.0f', bytes))
  redis.call('HINCRBY', KEYS[3], 'trimmed', trimmed)
  return trimmed
end

-- Appends the rows in ARGV from the number `from` on, each a JSON list, and returns their ids.
local function append_rows(from)
  local ids = {}
  for i = from, #ARGV do
    ids[#ids + 1] = append_row(cjson.decode(ARGV[i]))
  end
  trim_rows()
  return ids
end


-- Removes the rows whose ids are in ARGV from the number `from` on, and returns how many there were.
local function drop_rows(from)
  local bytes = tonumber(redis.call('HGET', KEYS[3], 'bytes') or '0')
  local dropped = 0
  for i = from, #ARGV do
    local entry = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
    if entry then
      local members, size = measure(entry[1], entry[2])
      redis.call('XDEL', KEYS[1], entry[1])
      redis.call('HDEL', KEYS[4], entry[1])
      if #members > 0 then
        redis.call('ZREM', KEYS[2], unpack(members))
      end
      bytes, dropped = math.max(0, bytes - size), dropped + 1
    end
  end
  redis.call('HSET', KEYS[3], 'bytes', string.format('%.0f', bytes))
  return dropped
end
