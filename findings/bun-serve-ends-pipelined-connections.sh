#!/usr/bin/env bash
# Bun.serve closes a connection without any answer if the next request arrives before an asynchronous answer is ready.
#
# Expected: RFC 9112, 9.3.2: a client may send further requests on a connection before the first one is answered, and the server
#   answers them in order. A server that does not accept the second request still answers the first one.
# Happens: when the head of the second request arrives while the handler of the first one waits for a promise, the connection is
#   closed. The first request has been executed, and neither request gets a byte of an answer. If the handler returns its response
#   synchronously, both requests are answered. Node.js answers both in either case.
# Versions: Bun 1.4.5 (npm), compared with Node.js 20.
# Matters: for a client that pipelines, a create that was stored looks like a lost connection. If the client repeats it without an
#   idempotency key, the task is created twice. A load generator or a proxy that pipelines reports that a server on Bun is down.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund bun@1.4.5

cat >client.mjs <<'JS'
import { connect } from "node:net";
/** Two requests in one write; resolves with the paths that were answered, once the server has closed or both are there. */
export const answered = (port) =>
  new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1");
    const end = (how) => {
      resolve(`${[...text.matchAll(/answer to (\/first|\/second)/g)].map(([, path]) => path).join(" ") || "nothing"} (${how})`);
      socket.destroy();
    };
    socket.on("data", (data) => {
      text += data;
      if (text.includes("answer to /second")) end("open");
    });
    socket.on("close", () => end("closed by the server"));
    socket.write(["/first", "/second"].map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(""));
  });
JS
cat >on-bun.mjs <<'JS'
import { answered } from "./client.mjs";
for (const waitMs of [null, 20]) {
  const carriedOut = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      const { pathname } = new URL(request.url);
      carriedOut.push(pathname);
      const answer = () => new Response(`answer to ${pathname}`);
      return waitMs === null ? answer() : Bun.sleep(waitMs).then(answer);
    },
  });
  const got = await answered(server.port);
  await server.stop(true);
  console.log(`Bun, handler ${waitMs === null ? "returns at once" : "awaits"}: carried out ${carriedOut.join(" ")}; answered ${got}`);
}
JS
cat >on-node.mjs <<'JS'
import { createServer } from "node:http";
import { answered } from "./client.mjs";
const server = createServer((request, response) => setTimeout(() => response.end(`answer to ${request.url}`), 20));
server.listen(0, "127.0.0.1", async () => {
  console.log(`Node.js, handler awaits: answered ${await answered(server.address().port)}`);
  server.close();
});
JS

echo "bun $(node_modules/.bin/bun --version), node $(node --version)"
{ timeout 30 node_modules/.bin/bun on-bun.mjs; timeout 30 node on-node.mjs; } | tee seen
cat >expected <<'TXT'
Bun, handler returns at once: carried out /first /second; answered /first /second (open)
Bun, handler awaits: carried out /first; answered nothing (closed by the server)
Node.js, handler awaits: answered /first /second (open)
TXT
diff expected seen && echo "as described"
