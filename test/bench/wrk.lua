-- Asks for "/" under one host name after the other, and prints what the benchmark reads as one line of JSON.
-- Arguments: a format for the host name (%d is the tenant's number); how many tenants there are; "-", or a file of draws
-- (numbers of tenants, three bytes each, the highest first); the number of the tenant or draw to begin with; "-", or a
-- file with a bearer token for each tenant on a line.

local count, at, size = 0, 0, 0
local head, middle, tail = "", "", "\r\n\r\n"
local ready, draws, tokens

-- Requests are made when they are needed: a table of a million would take seconds, in which no thread may wait for another.
local function make(tenant)
  local text = head .. string.format(middle, tenant)
  if tokens then
    text = text .. "\r\nAuthorization: Bearer " .. tokens[tenant + 1]
  end
  return text .. tail
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function init(args)
  head, middle, count = "GET / HTTP/1.1\r\nHost: ", args[1], tonumber(args[2])
  at = tonumber(args[4]) - 1
  if args[3] ~= "-" then
    draws = read(args[3])
    size = #draws / 3
  end
  if args[5] ~= "-" then
    tokens = {}
    for line in read(args[5]):gmatch("[^\n]+") do
      tokens[#tokens + 1] = line
    end
  end
  if not draws and count <= 1000 then
    ready = {}
    for i = 1, count do
      ready[i] = make(i - 1)
    end
  end
  io.write("READY\n")
  io.flush()
end

function request()
  if ready then
    at = (at + 1) % count
    return ready[at + 1]
  end
  if not draws then
    at = (at + 1) % count
    return make(at)
  end
  at = (at + 1) % size
  local high, mid, low = draws:byte(3 * at + 1, 3 * at + 3)
  return make(high * 65536 + mid * 256 + low)
end

function done(summary, latency, _)
  io.write(string.format(
    'RESULT {"requests":%d,"durationMicros":%d,"p50Micros":%d,"p99Micros":%d,' ..
    '"refused":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.status, summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.timeout))
end
