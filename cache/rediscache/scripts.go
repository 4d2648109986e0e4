package rediscache

// What stands in Redis, behind "{Prefix}":
//
//	v:VERSION:KEY  a hash: the value with its times and its tags
//	l:VERSION:KEY  the token of who is loading it
//	t:TAG          the number of the last purge of TAG; t: with no name, of everything
//	s              the number of the last purge
//
// A number is the server's time in microseconds, or one more than the last number if that is
// greater, so that it still grows if s is lost. A value is good if none of its tags has a number
// above its birth, which is when the lease for its load was taken. A tag that is not there makes a
// value bad: Redis may have evicted it, and a purge with it.
//
// Of what a script reads, Redis 7.0 has a connection told of the keys that the script was called
// with, later ones of those that it read. So both are the same here, and the tags of a value, known
// only when it is read, are read once more by a script of their own.
//
// The order in a script is the order of what it tells others: first the value, then the lease,
// for that is what wakes those who wait.
type script string

const common = `
local function text(n) return string.format('%.0f', n) end
local function time() local t = redis.call('TIME'); return t[1] * 1000000 + t[2] end
`

// KEYS: value, lease, s, the tag of everything. ARGV: prefix of tags, token, lease in ms, oldest birth
// in us before now (-1: any, 0: none). What is not of our making is as if it were not there, and so is a
// value that was born in the future: no purge would reach it.
const getScript script = common + `
local now, oldest = time(), tonumber(ARGV[4])
local s = tonumber(redis.pcall('GET', KEYS[3]))
local v = redis.pcall('HMGET', KEYS[1], 'b', 'l', 'u', 'h', 'v', 'g')
local born, loaded, fresh = tonumber(v[1]), tonumber(v[2]), tonumber(v[3])
if born and loaded and fresh and v[4] and v[5] and v[6] and born <= math.max(now, s or 0)
	and (oldest < 0 or now - born < oldest) and (fresh < 0 or now < fresh) then
	local good, tags = pcall(cmsgpack.unpack, v[6])
	good = good and type(tags) == 'table' and tags[1] == ''
	for _, tag in ipairs(good and tags or {}) do
		local p = type(tag) == 'string' and tonumber(redis.pcall('GET', ARGV[1] .. tag))
		if not p or p > born then good = false; break end
	end
	if good then return {'value', text(now - loaded), v[4], v[5], tags, v[1]} end
end
local holder = redis.pcall('GET', KEYS[2])
if type(holder) == 'string' then
	local left = redis.call('PTTL', KEYS[2])
	if left > 0 and holder ~= ARGV[2] then return {'held', holder, left} end
end
if not s then s = now; redis.call('SET', KEYS[3], text(now)) end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return {'lease', text(math.max(now, s))}
`

// KEYS: of the tags of a value.
const tagsScript script = common + `return redis.call('MGET', unpack(KEYS))`

// KEYS: value, lease, s, the tags. ARGV: prefix of tags, token, birth, fresh for in us (-1: for ever), to
// be kept for in ms (-1), header, value, tags. A Put needs no lease: its token is "", and instead of a
// birth it has the time from which on it is too late. It may have been on its way for long, on a
// connection that was given up, and must not replace what came after it.
const setScript script = common + `
local now, born = time(), tonumber(ARGV[3])
local s = tonumber(redis.pcall('GET', KEYS[3]))
if ARGV[2] == '' then
	if now > born then return 0 end
	if not s then s = now; redis.call('SET', KEYS[3], text(now)) end
	born = math.max(now, s)
elseif redis.pcall('GET', KEYS[2]) ~= ARGV[2] then
	return 0
end
local keep, tags, good = tonumber(ARGV[5]), {}, true
for i = 8, #ARGV do
	tags[i - 7] = ARGV[i]
	local p = tonumber(redis.pcall('GET', ARGV[1] .. ARGV[i])) or s or now
	if p > born then good = false end
end
for _, name in ipairs(good and tags or {}) do -- not for nothing: a tag that is written takes what others have with it
	local tag = ARGV[1] .. name
	if not tonumber(redis.pcall('GET', tag)) then
		redis.call('SET', tag, text(s or now))
		if name ~= '' and keep >= 0 then redis.call('PEXPIRE', tag, text(keep + 86400000)) end
	elseif name ~= '' then
		local left = redis.call('PTTL', tag)
		if left >= 0 and keep < 0 then redis.call('PERSIST', tag)
		elseif left >= 0 and left < keep then redis.call('PEXPIRE', tag, text(keep + 86400000)) end
	end
end
if good then
	redis.call('DEL', KEYS[1]) -- whatever it was
	local untilWhen = '-1'
	if ARGV[4] ~= '-1' then untilWhen = text(now + tonumber(ARGV[4])) end
	redis.call('HSET', KEYS[1], 'b', text(born), 'l', text(now), 'u', untilWhen, 'h', ARGV[6], 'v', ARGV[7], 'g', cmsgpack.pack(tags))
	if keep >= 0 then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
end
redis.call('DEL', KEYS[2])
return good and 1 or 0
`

// KEYS: lease. ARGV: token, for how many ms to keep it (0: give it back).
const leaseScript script = common + `
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`

// KEYS: s, tags. A tag that is not there needs no number: no value that has it is good, and what is
// being loaded will find that the last purge came after its birth.
const purgeScript script = common + `
local s = text(math.max(time(), tonumber(redis.pcall('GET', KEYS[1])) or 0) + 1)
redis.call('SET', KEYS[1], s)
for i = 2, #KEYS do
	if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('SET', KEYS[i], s, 'KEEPTTL') end
end
return 1
`

// KEYS: value, lease. Who is loading the value is told of its end even if it has had no beginning.
const dropScript script = common + `
if redis.call('DEL', KEYS[1]) == 0 then
	redis.call('SET', KEYS[1], '')
	redis.call('DEL', KEYS[1])
end
redis.call('DEL', KEYS[2])
return 1
`

// KEYS: s, the tag of everything, which is made before anybody reads it: making it would be told to all
// as a purge.
const pingScript script = common + `
local now = time()
if redis.call('EXISTS', KEYS[2]) == 0 then
	redis.call('SET', KEYS[2], text(math.max(now, tonumber(redis.pcall('GET', KEYS[1])) or 0)))
end
return now
`
