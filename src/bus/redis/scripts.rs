//! What must be one step on Redis. `allow-oom`: what frees memory, or only moves marks, must work when Redis is full.

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

/// Removes the oldest entries beyond a count and a size, at most 1,000 of them, never one that is pending for our group or
/// was not delivered to it. KEYS: stream. ARGV: group, count, bytes. Gives how many are gone.
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
if not limit then return 0 end
local pending = redis.call('XPENDING', KEYS[1], ARGV[1])
if pending[1] > 0 then limit = pending[2] end
local count = math.min(excess, 1000)
local oldest = redis.call('XRANGE', KEYS[1], '-', '(' .. limit, 'COUNT', count)
if #oldest == 0 then return 0 end
local ids = {}
for i, entry in ipairs(oldest) do ids[i] = entry[1] end
return redis.call('XDEL', KEYS[1], unpack(ids))
";
