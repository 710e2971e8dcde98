-- Posts the content of a file with wrk, and prints one line of JSON with the counts and the quantiles.
-- Arguments: the file, and then the name and the value of each header.

function init(args)
   local file = assert(io.open(args[1], "rb"))
   wrk.method = "POST"
   wrk.body = file:read("*a")
   file:close()
   for index = 2, #args, 2 do
      wrk.headers[args[index]] = args[index + 1]
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   local line = '{"responses": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "status_errors": %d, "socket_errors": %d}\n'
   io.write(line:format(
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
      errors.connect + errors.read + errors.write + errors.timeout
   ))
end
