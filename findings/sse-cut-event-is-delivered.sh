#!/usr/bin/env bash
# SSE client libraries deliver an event that was cut by the end of a stream, or join it with the first event of the next stream.
#
# Expected: the HTML standard (server-sent events, "interpreting an event stream") says that at the end of the stream
#   pending data is discarded: an event without its final empty line is not dispatched. A server that restarts cuts
#   streams at such places, and after a reconnect with Last-Event-ID the client receives the whole event.
# Happens: sseclient-py (Python) and parse-sse (npm) dispatch the part that has arrived as a whole event. Its data is a
#   part of a JSON text, and its id is that of the incomplete event. A client that resumes after this id never gets the
#   event. aiohttp-sse-client (Python) keeps the part when it reconnects, and appends the first event of the new stream
#   to it: two events arrive as one. httpx-sse and eventsource discard the part, which is correct.
# Versions: sseclient-py 1.9.0, aiohttp-sse-client 0.2.1 (aiohttp 3.14.5), parse-sse 0.1.0, compared with httpx-sse 0.4.3
#   and eventsource 4.1.1. Node.js 20, Python 3.11.
# Matters: a consumer of an event stream should store an id only after it has parsed the data of the event.
set -euo pipefail
dir=$(mktemp -d)
server=""
trap '[ -n "$server" ] && kill "$server" 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check sseclient-py==1.9.0 aiohttp-sse-client==0.2.1 aiohttp==3.14.5 httpx-sse==0.4.3 httpx==0.28.1 requests==2.34.2
npm init -y >/dev/null
npm install --silent --no-audit --no-fund parse-sse@0.1.0 eventsource@4.1.1

cat >server.mjs <<'JS'
import { createServer } from "node:http";
// Two events; the second is cut in the middle of its JSON text.
const whole = 'id: 41\ndata: {"task":41,"status":"done"}\n\nid: 42\ndata: {"task":42,"status":"done"}\n\n';
createServer((request, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.end(whole.slice(0, whole.indexOf("42,") + 2));
}).listen(0, "127.0.0.1", function () {
  console.log(this.address().port);
});
JS
node server.mjs >port &
server=$!
until [ -s port ]; do sleep 0.1; done
url="http://127.0.0.1:$(cat port)/"

cat >clients.py <<'PY'
import asyncio, json, sys, httpx, httpx_sse, requests, sseclient
from aiohttp_sse_client import client
url, which = sys.argv[1:]
def show(id, data): print(which, id, json.dumps(data))
if which == "sseclient-py":
    for event in sseclient.SSEClient(requests.get(url, stream=True)).events(): show(event.id, event.data)
elif which == "httpx-sse":
    with httpx.Client() as http, httpx_sse.connect_sse(http, "GET", url) as source:
        for event in source.iter_sse(): show(event.id, event.data)
else:
    async def main():
        seen = 0
        async with client.EventSource(url, max_connect_retry=0) as source:
            async for event in source: # it reconnects automatically, so one pass over the stream is enough
                show(event.last_event_id, event.data)
                seen += 1
                if seen == 2: break
    asyncio.run(main())
PY
cat >clients.mjs <<'JS'
const [, , url, which] = process.argv;
const show = (event) => console.log(which, event.lastEventId, JSON.stringify(event.data));
if (which === "parse-sse") {
  const { parseServerSentEvents } = await import("parse-sse");
  for await (const event of parseServerSentEvents(await fetch(url))) show(event);
} else {
  const { EventSource } = await import("eventsource");
  const source = new EventSource(url);
  source.onmessage = show;
  source.onerror = () => process.exit();
}
JS

for library in sseclient-py aiohttp-sse-client httpx-sse; do timeout 30 venv/bin/python clients.py "$url" "$library"; done >seen
for library in parse-sse eventsource; do timeout 30 node clients.mjs "$url" "$library"; done >>seen

echo "node $(node --version), $(python3 --version)"
venv/bin/pip list --disable-pip-version-check 2>/dev/null | grep -E "^(sseclient-py|aiohttp-sse-client|httpx-sse) "
npm ls --depth 0 | tail -n +2
cat seen
cat >expected <<'TXT'
sseclient-py 41 "{\"task\":41,\"status\":\"done\"}"
sseclient-py 42 "{\"task\":42"
aiohttp-sse-client 41 "{\"task\":41,\"status\":\"done\"}"
aiohttp-sse-client 41 "{\"task\":42\n{\"task\":41,\"status\":\"done\"}"
httpx-sse 41 "{\"task\":41,\"status\":\"done\"}"
parse-sse 41 "{\"task\":41,\"status\":\"done\"}"
parse-sse 42 "{\"task\":42"
eventsource 41 "{\"task\":41,\"status\":\"done\"}"
TXT
diff expected seen && echo "as described"
