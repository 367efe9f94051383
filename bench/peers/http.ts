/**
 * A minimal HTTP server around a peer's library: POST JSON, create, 201. It checks only that the body is JSON. On Bun it is Bun's own
 * server, on Node.js node:http; the benchmark uses the faster one for each peer.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** Creates one job from the body; resolves with its id when it is stored. */
type Create = (body: object) => Promise<unknown>;

const created = (id: unknown): string =>
  JSON.stringify({ message: "Task created successfully", task_id: id });
const failed = (error: unknown): string => JSON.stringify({ error: String(error) });

const serveOnBun = (port: number, create: Create): void => {
  Bun.serve({
    hostname: "127.0.0.1",
    port,
    routes: {
      "/readyz": new Response("ok"),
      "/api/task": {
        POST: async (request) =>
          // The bench's own load generator sends objects.
          new Response(created(await create((await request.json()) as object)), {
            status: 201,
            headers: { "content-type": "application/json" },
          }),
      },
    },
    error: (error) => new Response(failed(error), { status: 500 }),
  });
};

const bodyOf = (request: IncomingMessage): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => {
      text += chunk;
    });
    request.on("end", () => resolve(text));
    request.on("error", reject);
  });

const answer = (response: ServerResponse, status: number, text: string): void => {
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
};

const serveOnNode = (port: number, create: Create): void => {
  const server = createServer((request, response) => {
    if (request.method === "GET") {
      answer(response, 200, "ok");
      return;
    }
    bodyOf(request)
      .then((text) => create(JSON.parse(text) as object))
      .then(
        (id) => answer(response, 201, created(id)),
        (error: unknown) => answer(response, 500, failed(error)),
      );
  });
  server.keepAliveTimeout = 60_000;
  server.listen(port, "127.0.0.1");
};

export const serveCreates = (create: Create): void => {
  const port = Number(process.env.HTTP_PORT);
  if (process.versions.bun === undefined) serveOnNode(port, create);
  else serveOnBun(port, create);
};
