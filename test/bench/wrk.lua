-- Asks for "/" under one host name after the other, and prints what the benchmark reads as one line of JSON.
-- Arguments: a format for the host name (%d is the tenant's number) and how many tenants there are.

local requests, count, at = {}, 0, 0

function init(args)
  count = tonumber(args[2])
  for i = 1, count do
    requests[i] = wrk.format("GET", "/", { Host = string.format(args[1], i - 1) })
  end
end

function request()
  at = at % count + 1
  return requests[at]
end

function done(summary, latency, _)
  io.write(string.format(
    'RESULT {"requests":%d,"durationMicros":%d,"p50Micros":%d,"p99Micros":%d,' ..
    '"refused":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.status, summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.timeout))
end
