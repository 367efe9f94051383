/**
 * The upper limit: Bun's own server and route table with a Map, and the same JSON answers as TaskTrack for create and get. It has no
 * validation, no limits, no engine and no store. The difference to TaskTrack is the cost of these.
 */
type Stored = {
  readonly id: number;
  readonly name: string;
  readonly description: string;
  readonly at: number;
};

const tasks = new Map<number, Stored>();
let lastId = 0;

const present = (task: Stored) => {
  const at = new Date(task.at).toISOString();
  return {
    id: task.id,
    name: task.name,
    description: task.description,
    status: "pending",
    created_at: at,
    duration: "0s",
    type: "simulate",
    payload: null,
    priority: 0,
    tags: [],
    labels: {},
    key: null,
    run_at: at,
    timeout: null,
    attempt: 0,
    max_attempts: 1,
    progress: null,
    result: null,
    error: null,
    attempts: [],
    cancel_requested: false,
    started_at: null,
    finished_at: null,
    updated_at: at,
    version: 1,
  };
};

const create = async (request: Request): Promise<Response> => {
  const body = (await request.json()) as { name: string; description: string };
  lastId += 1;
  tasks.set(lastId, { id: lastId, name: body.name, description: body.description, at: Date.now() });
  return Response.json(
    { message: "Task created successfully", task_id: lastId },
    { status: 201, headers: { location: `/api/task/${lastId}` } },
  );
};

const get = (request: Bun.BunRequest<"/api/task/:id">): Response => {
  const task = tasks.get(Number(request.params.id));
  return task === undefined
    ? Response.json({ error: "Task not found" }, { status: 404 })
    : Response.json(present(task));
};

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.HTTP_PORT),
  routes: {
    "/readyz": new Response("ok"),
    "/api/task": { POST: create },
    "/api/task/:id": { GET: get },
  },
});
