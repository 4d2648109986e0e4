-- A bucket is the time at which it is full again: microseconds and n-ths of one, both whole, so
-- that every number here is one that a double holds exactly. What it owes is how far that lies
-- ahead of now. Behind it stands the rate, for debt that was made at another one.
--
-- KEYS: a bucket for each op. ARGV: for each op 12 numbers, times as microseconds and n-ths:
-- what goes back, what it costs, what a burst takes, what a token takes, n; then tokens of the
-- cost, tokens wanted ahead, and whether it is soft (1) or forced (2).
-- Answer: for each op the tokens granted, what is owed, and how long the cost is away.
local width = 12
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local floor = math.floor

-- at most 2^51 tokens of us + fr / n: fr < n < 2^20, so k * fr is taken in two parts
local function times(k, us, fr, n)
  local high, low = floor(k / 1048576), k % 1048576
  local first = high * fr
  local rest = (first % n) * 1048576 + low * fr
  return k * us + floor(first / n) * 1048576 + floor(rest / n), rest % n
end

local function less(us, fr, us2, fr2) return us < us2 or us == us2 and fr < fr2 end

-- how many tokens are in us + fr / n
local function whole(us, fr, op)
  if us < 0 then return 0 end
  local k = floor((us + fr / op.n) / (op.token + op.tokenfr / op.n))
  while k > 0 do
    local u, f = times(k, op.token, op.tokenfr, op.n)
    if not less(us, fr, u, f) then break end
    k = k - 1
  end
  while true do
    local u, f = times(k + 1, op.token, op.tokenfr, op.n)
    if less(us, fr, u, f) then return k end
    k = k + 1
  end
end

local function add(us, fr, us2, fr2, n)
  us, fr = us + us2, fr + fr2
  if fr >= n then us, fr = us + 1, fr - n end
  return us, fr
end

local function sub(us, fr, us2, fr2, n)
  us, fr = us - us2, fr - fr2
  if fr < 0 then us, fr = us - 1, fr + n end
  return us, fr
end

-- as many tokens as before, at the rate of now, and rounded up; and what of that is above a burst: it
-- is owed at the old rate, and nobody here may forgive it
local function convert(us, fr, rate, op)
  local token, tokenfr, n = string.match(rate, '(%d+):(%d+):(%d+)')
  local owed = (us + fr / n) / (token + tokenfr / n) * (op.token + op.tokenfr / op.n)
  if owed >= op.burst then return op.burst, op.burstfr, floor(math.min(owed - op.burst, 2^51)) end
  return math.ceil(owed), 0, 0
end

-- What a value says: how far it lies ahead, the n-ths, its rate. Nil if it is none of ours, or further ahead
-- than any bucket can be: a bucket of nobody is full, and is written over when it is paid from.
local function read(value)
  local us, fr, rate, n = string.match(value, '^(%d+):(%d+):(%d+:%d+:(%d+))$')
  if not us or tonumber(fr) >= tonumber(n) or us - now > 2^52 then return nil end
  return us - now, tonumber(fr), rate
end

local ops, passes = {}, true
for i = 1, #KEYS do
  local a = (i - 1) * width
  local function arg(k) return tonumber(ARGV[a + k]) end
  local op = {
    key = KEYS[i], burst = arg(5), burstfr = arg(6), token = arg(7), tokenfr = arg(8), n = arg(9),
    cost = arg(10), kind = ARGV[a + 12], us = 0, fr = 0, room = true, rest = 0, wait = 0, waitfr = 0,
  }
  op.rate = ARGV[a + 7] .. ':' .. ARGV[a + 8] .. ':' .. ARGV[a + 9]
  local value = redis.pcall('GET', op.key)
  if type(value) == 'table' then
    if not string.find(value.err, 'WRONGTYPE', 1, true) then return value end
    value = 'of another type'
  end
  if value then
    op.stored = true
    local us, fr, rate = read(value)
    if us and us >= 0 then
      if rate ~= op.rate then us, fr, op.rest = convert(us, fr, rate, op) end
      -- more than anybody can owe: the clock was set back
      local most, mostfr = add(op.burst, op.burstfr, op.burst, op.burstfr, op.n)
      if less(most, mostfr, us, fr) then us, fr = most, mostfr end
      op.us, op.fr = us, fr
    end
    local back, backfr = arg(1), arg(2)
    if back > 0 or backfr > 0 then
      if op.rest > back then
        op.rest = op.rest - back
      else
        op.us, op.fr = sub(op.us, op.fr, back - op.rest, backfr, op.n)
        op.rest = 0
      end
      if op.us < 0 then op.us, op.fr = 0, 0 end
      op.changed = true
    end
  end
  if op.cost > 0 and op.kind ~= '2' then
    op.after, op.afterfr = add(op.us, op.fr, arg(3), arg(4), op.n)
    if less(op.burst, op.burstfr, op.after, op.afterfr) then
      op.room = false
      op.wait, op.waitfr = sub(op.after, op.afterfr, op.burst, op.burstfr, op.n)
      if op.kind == '0' then passes = false end
    end
  end
  ops[i] = op
end

local out = {}
for i, op in ipairs(ops) do
  local granted = 0
  if op.kind == '2' then
    local most, mostfr = add(op.burst, op.burstfr, op.burst, op.burstfr, op.n)
    local left, leftfr = sub(most, mostfr, op.us, op.fr, op.n)
    granted = math.min(op.cost, whole(left, leftfr, op))
    local us, fr = times(granted, op.token, op.tokenfr, op.n)
    op.us, op.fr = add(op.us, op.fr, us, fr, op.n)
  elseif passes and op.room and op.cost > 0 then
    op.us, op.fr, granted = op.after, op.afterfr, op.cost
    local ahead = tonumber(ARGV[(i - 1) * width + 11])
    if ahead > 0 then
      local left, leftfr = sub(op.burst, op.burstfr, op.us, op.fr, op.n)
      ahead = math.min(ahead, floor(whole(left, leftfr, op) / 4))
      local us, fr = times(ahead, op.token, op.tokenfr, op.n)
      op.us, op.fr = add(op.us, op.fr, us, fr, op.n)
      granted = granted + ahead
    end
  end
  if granted > 0 or op.changed then
    if op.us > 0 or op.fr > 0 then
      redis.call('SET', op.key, string.format('%.0f:%.0f:', now + op.us + op.rest, op.fr) .. op.rate,
        'PX', string.format('%.0f', math.ceil((op.us + op.rest + 1) / 1000)))
    elseif op.stored then
      redis.call('DEL', op.key)
    end
  end
  local o = (i - 1) * 5
  out[o + 1], out[o + 2], out[o + 3], out[o + 4], out[o + 5] = granted, op.us, op.fr, op.wait, op.waitfr
end
return out
