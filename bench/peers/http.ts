/**
 * A minimal HTTP server around a peer's library: POST JSON, create, 201. It checks only that the body is JSON. On Bun it is Bun's own
 * server, on Node.js node:http; the benchmark uses the faster one for each peer. The benchmark of single tasks also asks it how long
 * each job waited.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** The benchmark's load generator sends nothing else. */
type Body = { readonly name: string };
/** Creates one job from the body; resolves with its id when it is stored. */
type Create = (body: Body) => Promise<unknown>;
type TakeWaits = () => readonly number[];

const created = (id: unknown): string =>
  JSON.stringify({ message: "Task created successfully", task_id: id });
const failed = (error: unknown): string => JSON.stringify({ error: String(error) });

const serveOnBun = (port: number, create: Create, takeWaits: TakeWaits): void => {
  Bun.serve({
    hostname: "127.0.0.1",
    port,
    routes: {
      "/readyz": new Response("ok"),
      "/waits": { GET: () => Response.json(takeWaits()) },
      "/api/task": {
        POST: async (request) =>
          new Response(created(await create((await request.json()) as Body)), {
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

const serveOnNode = (port: number, create: Create, takeWaits: TakeWaits): void => {
  const server = createServer((request, response) => {
    if (request.method === "GET") {
      answer(response, 200, request.url === "/waits" ? JSON.stringify(takeWaits()) : "ok");
      return;
    }
    bodyOf(request)
      .then((text) => create(JSON.parse(text) as Body))
      .then(
        (id) => answer(response, 201, created(id)),
        (error: unknown) => answer(response, 500, failed(error)),
      );
  });
  server.keepAliveTimeout = 60_000;
  server.listen(port, "127.0.0.1");
};

export const serveCreates = (create: Create, takeWaits: TakeWaits = () => []): void => {
  const port = Number(process.env.HTTP_PORT);
  if (process.versions.bun === undefined) serveOnNode(port, create, takeWaits);
  else serveOnBun(port, create, takeWaits);
};

/**
 * Creates and workers in one process. GET /waits answers for each job that was handled since the last time how many milliseconds
 * passed from the call of `create` to its handler. At any time the names of the jobs under way differ.
 */
export const serveSingles = async (side: {
  readonly create: Create;
  /** Starts the workers, which call `handled` for each job. */
  readonly start: (handled: (job: Body) => void) => unknown;
}): Promise<void> => {
  const sentAt = new Map<string, number>();
  let waits: number[] = [];
  await side.start(({ name }) => {
    const at = sentAt.get(name);
    if (at === undefined) throw new Error(`${name} was handled twice`);
    sentAt.delete(name);
    waits.push(performance.now() - at);
  });
  const create: Create = (body) => {
    sentAt.set(body.name, performance.now());
    return side.create(body);
  };
  const takeWaits: TakeWaits = () => {
    const taken = waits;
    waits = [];
    return taken;
  };
  serveCreates(create, takeWaits);
};
