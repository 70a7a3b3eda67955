-- One round trip for any number of limits: reports what this node holds of each, takes what its requests need from all
-- of them or from none, and leases more ahead of need. `now` is Redis's own time in microseconds; the Go side puts the
-- line that reads it in front of this text.
--
-- ARGV: node, seq, life (us), nodes; then fourteen of each key, in the order of `fields` below.
-- A key is a hash:
--   d         of a rate: debt, the time (us) at t until its bucket is full; of an allowance: what is used
--   t         when d was written (us)
--   b         when the key was made (us)
--   o, e      what all nodes together hold on lease, and a time (us) before which none of these leases ends
--   n:<node>  "held seq end": what that node holds, its newest call, and when its lease ends (us)
--
-- What is on lease counts as still in the bucket: bucket and leases together never hold more than one burst, so that
-- spending a lease late is not more than spending it at once. A lease that ends is counted as spent.

local fields = {'kind', 'size', 'step', 'hint', 'need', 'soft', 'want', 'held', 'back', 'charge', 'born', 'lostseq', 'lostheld', 'lostcharge'}
local node, seq, life, nodes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local mine = 'n:' .. node
local limits, all = {}, true

local function text(n) return string.format('%.0f', n) end

for i, key in ipairs(KEYS) do
  local s = {}
  for j, name in ipairs(fields) do
    local v = ARGV[4 + (i - 1) * #fields + j]
    s[name] = name == 'kind' and v or tonumber(v)
  end
  limits[i] = s
  local f = redis.call('HMGET', key, 'd', 't', 'o', 'e', mine, 'b')
  local o, e = tonumber(f[3] or 0), tonumber(f[4] or 0)
  local held, last = 0, 0
  if f[5] then
    held, last = string.match(f[5], '^(%S+) (%S+)')
    held, last = tonumber(held), tonumber(last)
    -- A call that was overtaken by a later one of the same node: nobody waits for its answer.
    if seq <= last then return {2} end
  end

  -- A debt shrinks with time, but not below what is on lease.
  -- What a node knows of a key that was made since is what Redis has lost.
  local b = tonumber(f[6] or now)
  local lost = s.born ~= b
  s.b = b
  if s.kind == 'r' then
    if f[2] then
      s.d = math.max(tonumber(f[1]) - math.max(now - tonumber(f[2]), 0), o * s.step, 0)
      if lost then s.d = math.max(s.d, s.hint) end
    else
      s.d = math.max(s.hint, 0)
    end
  elseif s.kind == 'a' then
    s.d = tonumber(f[1] or 0)
  else
    s.d = 0
  end

  s.gone = {}
  if e > 0 and now >= e then
    o, e = 0, 0
    local h = redis.call('HGETALL', key)
    for j = 1, #h, 2 do
      if string.sub(h[j], 1, 2) == 'n:' then
        local n, _, ends = string.match(h[j + 1], '^(%S+) (%S+) (%S+)$')
        n, ends = tonumber(n), tonumber(ends)
        if ends <= now then
          s.gone[#s.gone + 1] = h[j]
          if s.kind == 'a' then s.d = s.d + n end
          if h[j] == mine then held = 0 end
        else
          o = o + n
          if e == 0 or ends < e then e = ends end
        end
      end
    end
  end

  -- What a call has leased whose answer never came nobody has; what it has charged is charged again.
  if s.lostseq > 0 and s.lostseq == last then
    s.back = s.back + math.max(held - s.lostheld, 0)
    if s.kind == 'a' then s.charge = s.charge - s.lostcharge end
  end

  -- What this node has to say of its own lease.
  o = o - held + s.held
  if s.kind == 'r' then
    s.d = math.max(s.d - math.min(s.back, held) * s.step, 0) + s.charge * s.step
    s.d = math.min(math.max(s.d, o * s.step), s.size * s.step)
  elseif s.kind == 'a' then
    -- What this node knows to be used is what Redis was told of, or is held of it; or Redis did not have the key.
    s.d = math.max(s.d + math.max(held - s.held - s.back, 0) + s.charge, s.hint - o, 0)
  end
  s.o, s.e, s.known = o, e, f[5]

  local free
  if s.kind == 'r' then
    free = math.floor(s.size - s.d / s.step + 0.000001)
  else
    free = s.size - s.d - s.o
  end
  s.free = math.max(free, 0)
  s.fits = s.need <= s.free
  if not s.fits and s.soft == 0 then all = false end
end

local answer = {1, now}
for i, key in ipairs(KEYS) do
  local s = limits[i]
  local lent, extra, short, retry = 0, 0, 0, 0
  if all then
    if s.fits then
      s.free = s.free - s.need
      if s.kind == 'c' then
        lent = s.need
      elseif s.kind == 'r' then
        s.d = s.d + s.need * s.step
      else
        s.d = s.d + s.need
      end
    elseif s.kind == 'a' then
      s.d = s.d + s.need -- a limit that refuses nothing counts what it has no room for
    end
    if s.want > 0 then
      -- A rate's leases are half of the burst at most, so that the other half can fill up behind them. Of what does
      -- not come back by itself, one node takes no more than half of its share of the rest.
      local most = s.kind == 'r' and math.floor(s.size / 2) - s.o or math.floor(s.free / (2 * nodes))
      extra = math.max(math.min(s.want, s.free, most), 0)
      if s.kind == 'r' then s.d = s.d + extra * s.step end
      s.free = s.free - extra
      if extra < s.want and s.free <= 0 then short = 1 end
      lent = lent + extra
    end
  end
  if not s.fits then
    if s.need > s.size then
      retry = -1
    elseif s.kind == 'r' then
      retry = math.max(math.ceil(s.d + (s.need - s.size) * s.step), 1)
    end
  end

  s.o = s.o + lent
  for _, name in ipairs(s.gone) do redis.call('HDEL', key, name) end
  if node ~= '' then
    if s.held + lent > 0 then
      local ends = now + life
      if s.e == 0 or ends < s.e then s.e = ends end
      redis.call('HSET', key, mine, text(s.held + lent) .. ' ' .. text(seq) .. ' ' .. text(ends))
    elseif s.known then
      redis.call('HDEL', key, mine)
    end
  end
  if s.o <= 0 then s.o, s.e = 0, 0 end
  if s.o == 0 and (s.kind == 'c' or s.kind == 'r' and s.d <= 0) then
    redis.call('DEL', key)
  else
    redis.call('HSET', key, 'd', string.format('%.17g', s.d), 't', text(now), 'o', text(s.o), 'e', text(s.e), 'b', text(s.b))
    if s.kind == 'a' then
      redis.call('PEXPIREAT', key, text(s.step))
    else
      local rest = s.kind == 'r' and s.d or 0
      if s.o > 0 then rest = math.max(rest, life) end
      redis.call('PEXPIRE', key, text(math.ceil(rest / 1000) + 1000))
    end
  end
  answer[#answer + 1] = s.fits and 1 or 0
  answer[#answer + 1] = extra
  answer[#answer + 1] = s.kind == 'r' and math.ceil(s.d) or s.free
  answer[#answer + 1] = retry
  answer[#answer + 1] = short
  answer[#answer + 1] = s.b
end
return answer
