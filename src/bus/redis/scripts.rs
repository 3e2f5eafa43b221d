//! Scripts: for what must be one step on Redis, and for what must be measured there because it may be too large to send. Whoever can
//! write to our keys decides how large an entry or a name is. `allow-oom`: a script that frees memory, or only moves marks, must work
//! when Redis is full.

/// Reads entries, one by one, and gives of each its id, its size, and its fields unless they are larger than they may be. Ends at
/// a count, or when a number of bytes has been looked at. KEYS: stream. ARGV: group, consumer, where (`>`: new ones; `0`: what is
/// pending on the consumer; `ids`: those that follow), count, largest size, bytes, the one field that is wanted or nothing, ids.
/// Gives how many it has looked at, and the entries; of an entry that is gone, no fields.
pub(super) const READ: &str = "#!lua flags=allow-oom
local group, consumer, from = ARGV[1], ARGV[2], ARGV[3]
local most, budget, only = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local looked, read, out = 0, 0, {}
while looked < tonumber(ARGV[4]) and read < budget do
  local entry
  if from == 'ids' then
    local id = ARGV[8 + looked]
    entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  else
    local reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', 1, 'STREAMS', KEYS[1], from)
    entry = reply and reply[1][2][1]
    if not entry then break end
    if from ~= '>' then from = entry[1] end
  end
  looked = looked + 1
  if entry then
    local fields, size, kept = entry[2] or {}, 0, {}
    for i = 1, #fields do size = size + #fields[i] end
    read = read + size
    if only == '' then
      kept = size <= most and #fields <= 1000 and fields
    else
      for i = 1, #fields, 2 do
        if fields[i] == only and #fields[i + 1] <= most then kept = {only, fields[i + 1]} break end
      end
      if #kept == 0 and #fields > 0 then kept = false end
    end
    out[#out + 1] = {entry[1], size, kept}
  end
end
return {looked, out}
";

/// The id of a stream's newest entry, deleted or not. KEYS: stream.
pub(super) const LAST_ID: &str = "#!lua flags=no-writes
local facts = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #facts, 2 do
  if facts[i] == 'last-generated-id' then return facts[i + 1] end
end
";

/// How a stream stands: entries, entries pending for longer than a time, the first entry's id, the other consumers that hold
/// entries or were at work within a time. KEYS: stream. ARGV: group, our consumer, pending for so long, counted up to,
/// at work within, consumers at most.
pub(super) const STANDING: &str = "#!lua flags=no-writes
local others, consumers, pending, lag = {}, 0, 0, false
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for i = 1, #consumer, 2 do facts[consumer[i]] = consumer[i + 1] end
  consumers = consumers + 1
  local there = facts.pending > 0 or facts.idle < tonumber(ARGV[5])
  if facts.name ~= ARGV[2] and there and #others < tonumber(ARGV[6]) then
    others[#others + 1] = string.sub(facts.name, 1, 100)
  end
end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local facts = {}
  for i = 1, #group, 2 do facts[group[i]] = group[i + 1] end
  if facts.name == ARGV[1] then pending, lag = facts.pending, facts.lag end
end
local stuck = #redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4])
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
return {redis.call('XLEN', KEYS[1]), stuck, first and first[1] or '', others, pending, consumers, lag or ''}
";

/// Acknowledges entries and deletes them. KEYS: stream. ARGV: group, ids.
pub(super) const ACKNOWLEDGE_AND_DELETE: &str = "#!lua flags=allow-oom
local ids = {}
for i = 2, #ARGV do ids[i - 1] = ARGV[i] end
redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
return redis.call('XDEL', KEYS[1], unpack(ids))
";

/// Removes the group's other consumers on which nothing is pending. KEYS: stream. ARGV: group, our consumer.
pub(super) const REMOVE_IDLE_CONSUMERS: &str = "#!lua flags=allow-oom
local removed = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for i = 1, #consumer, 2 do facts[consumer[i]] = consumer[i + 1] end
  if facts.name ~= ARGV[2] and facts.pending == 0 and removed < 1000 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], facts.name)
    removed = removed + 1
  end
end
return removed
";

/// Takes over what is pending on consumers that are not among those named, up to 500 entries of each, and removes those of them on
/// which nothing is pending. KEYS: stream. ARGV: group, our consumer, the consumers of other hosts. Gives how many were taken over.
pub(super) const CLAIM_FROM_GONE: &str = "#!lua flags=allow-oom
local there, claimed = {}, 0
for i = 2, #ARGV do there[ARGV[i]] = true end
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for i = 1, #consumer, 2 do facts[consumer[i]] = consumer[i + 1] end
  if not there[facts.name] then
    local ids = {}
    for _, entry in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 500, facts.name)) do ids[#ids + 1] = entry[1] end
    if #ids > 0 then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))
      claimed = claimed + #ids
    else
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], facts.name)
    end
  end
end
return claimed
";

/// Which of these entries are neither pending on anybody nor above the last one that was delivered. KEYS: stream. ARGV: group, ids.
/// Gives their places, from 0.
pub(super) const ABSENT: &str = "#!lua flags=no-writes
local delivered = '0-0'
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local facts = {}
  for i = 1, #group, 2 do facts[group[i]] = group[i + 1] end
  if facts.name == ARGV[1] then delivered = facts['last-delivered-id'] end
end
local absent = {}
for i = 2, #ARGV do
  local is_there = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  local is_waiting = is_there and redis.call('XRANGE', KEYS[1], '(' .. delivered, ARGV[i], 'COUNT', 1)[1]
  local is_pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  if not is_waiting and not is_pending then absent[#absent + 1] = i - 2 end
end
return absent
";

/// Removes the oldest entries beyond a count and a size, at most 1,000 of them or 16 MiB, never one that is pending for our group
/// or was not delivered to it. KEYS: stream. ARGV: group, count, bytes. Gives how many are gone.
pub(super) const TRIM: &str = "#!lua flags=allow-oom
local length = redis.call('XLEN', KEYS[1])
local excess = length - tonumber(ARGV[2])
local bytes = redis.call('MEMORY', 'USAGE', KEYS[1])
if bytes and bytes > tonumber(ARGV[3]) then
  excess = math.max(excess, math.ceil(length * (1 - tonumber(ARGV[3]) / bytes)))
end
if excess <= 0 then return 0 end
local limit = nil
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local facts = {}
  for i = 1, #group, 2 do facts[group[i]] = group[i + 1] end
  if facts.name == ARGV[1] then limit = facts['last-delivered-id'] end
end
if not limit or limit == '0-0' then return 0 end
local pending = redis.call('XPENDING', KEYS[1], ARGV[1])
if pending[1] > 0 then limit = pending[2] end
local ids, size = {}, 0
local from = '-'
while #ids < math.min(excess, 1000) and size < 16777216 do
  local entry = redis.call('XRANGE', KEYS[1], from, '(' .. limit, 'COUNT', 1)[1]
  if not entry then break end
  for i = 1, #entry[2] do size = size + #entry[2][i] end
  ids[#ids + 1] = entry[1]
  from = '(' .. entry[1]
end
if #ids == 0 then return 0 end
return redis.call('XDEL', KEYS[1], unpack(ids))
";

/// Gives a name another owner, if it still has the one it had. KEYS: the name. ARGV: who has it, who is to have it.
pub(super) const TAKE_OVER: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
";
