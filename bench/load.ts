/**
 * The load generator: a process, so that it can be pinned to another core. It uses keep-alive connections with one
 * request at a time on each. The bytes of the requests are prepared before. The status of every answer is checked.
 *
 *   bun bench/load.ts '{"port":8080,"kind":"get","connections":64,"requests":100000,"ids":1000,"firstId":1,"perSecond":null,
 *     "post":{"path":"/api/task","body":"{\"name\":\"task 00000000\"}","status":201},"forMs":null}'
 *
 * prints one line of JSON, a LoadResult.
 */
import type { Socket } from "bun";

export type LoadPlan = {
  readonly port: number;
  /**
   * create: POSTs. get: GETs of `ids` ids from `firstId` up, drawn evenly. brief: the same from /api/brief. churn: a POST, then the
   * DELETE of the created task; such a pair counts as one request, and only the POST is timed.
   */
  readonly kind: "create" | "get" | "brief" | "churn";
  readonly connections: number;
  readonly requests: number;
  readonly ids: number;
  readonly firstId: number;
  /**
   * null: every connection sends again as soon as it has its answer. A number: requests are sent at fixed times, and latency counts
   * from these times, so that a stall adds to the latency of every request that it delays.
   */
  readonly perSecond: number | null;
  /** The body of a POST, and the expected status. */
  readonly post: Post;
  /** null: all requests are sent. A number: no request is sent later than this, and `requests` is the maximum. */
  readonly forMs: number | null;
};

export type Post = {
  readonly path: string;
  /** JSON; its eight zeros become the number of the request. */
  readonly body: string;
  readonly status: number;
};

export type LoadResult = {
  readonly requests: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  readonly cpuSeconds: number;
};

type Connection = {
  readonly socket: Socket<Connection | null>;
  readonly post: Buffer;
  expected: number;
  sentAt: number;
  unsent: Buffer | null;
  partial: Buffer | null;
};

type Run = {
  readonly plan: LoadPlan;
  readonly post: Buffer;
  readonly sequenceAt: number;
  readonly gets: readonly Buffer[];
  readonly latencies: Float32Array;
  /** Connections without a request, and the times of requests without a connection; at most one is not empty. */
  readonly idle: Connection[];
  readonly overdue: number[];
  readonly done: PromiseWithResolvers<void>;
  /** No request is sent later than this; a time of `performance.now`. */
  endsAt: number;
  issued: number;
  timed: number;
  completed: number;
};

const DELETED = 204;
const DIGITS = 8;
const SEQUENCE_MARK = "0".repeat(DIGITS);
const DISTINCT_GETS = 16_384;

export const CREATE_TASK: Post = {
  path: "/api/task",
  body: JSON.stringify({ name: `task ${SEQUENCE_MARK}`, description: "some description of the work" }),
  status: 201,
};

const postBytes = ({ port, post: { path, body } }: LoadPlan): Buffer => {
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n`;
  return Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
};

const bareRequest = (method: string, path: string, port: number): Buffer =>
  Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);

/** All names are different: with equal ones a parser that shares strings would use less memory and time. */
const writeSequence = (post: Buffer, at: number, sequence: number): void => {
  let rest = sequence;
  for (let digit = DIGITS - 1; digit >= 0; digit -= 1) {
    post[at + digit] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
};

const statusOf = (answer: Buffer): number =>
  ((answer[9] ?? 0) - 48) * 100 + ((answer[10] ?? 0) - 48) * 10 + ((answer[11] ?? 0) - 48);

/** The length of the whole answer, or -1 while it is incomplete. */
const wholeLength = (answer: Buffer): number => {
  const headEnd = answer.indexOf("\r\n\r\n");
  if (headEnd < 0) {
    return -1;
  }
  const bodyStart = headEnd + 4;
  const status = statusOf(answer);
  if (status === 204 || status === 304) {
    return bodyStart;
  }
  const head = answer.toString("latin1", 0, headEnd);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head);
  if (length !== null) {
    const whole = bodyStart + Number(length[1]);
    return answer.length >= whole ? whole : -1;
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) {
    throw new Error(`an answer with neither Content-Length nor chunks: ${head}`);
  }
  return answer.toString("latin1", answer.length - 7) === "\r\n0\r\n\r\n" ? answer.length : -1;
};

/** The create answer ends `"task_id":N}`, perhaps with a line feed. */
const createdId = (answer: Buffer): number => {
  const id = /"task_id": ?(\d+)\}\s*$/.exec(answer.toString("latin1", Math.max(0, answer.length - 40)));
  if (id === null) {
    throw new Error(`a 201 without a task_id: ${answer.toString("latin1")}`);
  }
  return Number(id[1]);
};

const percentile = (sorted: Float32Array, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

const readRequests = ({ kind, port, firstId, ids }: LoadPlan): Buffer[] => {
  const path = kind === "brief" ? "/api/brief" : "/api/task";
  const wanted = kind === "get" || kind === "brief" ? DISTINCT_GETS : 0;
  return Array.from({ length: wanted }, () =>
    bareRequest("GET", `${path}/${firstId + Math.floor(Math.random() * ids)}`, port),
  );
};

const newRun = (plan: LoadPlan): Run => {
  const post = postBytes(plan);
  return {
    plan,
    post,
    sequenceAt: post.indexOf(SEQUENCE_MARK),
    gets: readRequests(plan),
    latencies: new Float32Array(plan.requests),
    idle: [],
    overdue: [],
    done: Promise.withResolvers<void>(),
    endsAt: Number.POSITIVE_INFINITY,
    issued: 0,
    timed: 0,
    completed: 0,
  };
};

const write = (connection: Connection, bytes: Buffer): void => {
  const written = connection.socket.write(bytes);
  connection.unsent = written < bytes.length ? Buffer.from(bytes.subarray(Math.max(0, written))) : null;
};

const sendNext = (run: Run, connection: Connection, at: number): void => {
  const sequence = run.issued;
  run.issued += 1;
  connection.sentAt = at;
  const get = run.gets[sequence % DISTINCT_GETS];
  if (get !== undefined) {
    connection.expected = 200;
    write(connection, get);
    return;
  }
  connection.expected = run.plan.post.status;
  writeSequence(connection.post, run.sequenceAt, sequence);
  write(connection, connection.post);
};

const proceed = (run: Run, connection: Connection): void => {
  const due = run.plan.perSecond === null ? performance.now() : run.overdue.shift();
  if (due === undefined) {
    run.idle.push(connection);
  } else if (run.issued < run.plan.requests && due < run.endsAt) {
    sendNext(run, connection, due);
  }
};

const complete = (run: Run, connection: Connection): void => {
  run.completed += 1;
  proceed(run, connection);
  const isLast = run.completed === run.plan.requests || performance.now() >= run.endsAt;
  if (isLast && run.completed === run.issued) {
    run.done.resolve();
  }
};

const receive = (run: Run, connection: Connection, chunk: Buffer): void => {
  const answer = connection.partial === null ? chunk : Buffer.concat([connection.partial, chunk]);
  const length = wholeLength(answer);
  if (length < 0) {
    connection.partial = answer;
    return;
  }
  connection.partial = null;
  if (statusOf(answer) !== connection.expected || length !== answer.length) {
    throw new Error(`expected one ${connection.expected}, got: ${answer.toString("latin1", 0, 1000)}`);
  }
  if (connection.expected === DELETED) {
    complete(run, connection);
    return;
  }
  run.latencies[run.timed] = performance.now() - connection.sentAt;
  run.timed += 1;
  if (run.plan.kind === "churn") {
    connection.expected = DELETED;
    write(connection, bareRequest("DELETE", `/api/task/${createdId(answer)}`, run.plan.port));
  } else {
    complete(run, connection);
  }
};

const receiveOrFail = (run: Run, connection: Connection | null, chunk: Buffer): void => {
  try {
    if (connection === null) {
      throw new Error("an answer came before any request");
    }
    receive(run, connection, chunk);
  } catch (error) {
    run.done.reject(error);
  }
};

const connect = async (run: Run): Promise<Connection> => {
  const socket = await Bun.connect<Connection | null>({
    hostname: "127.0.0.1",
    port: run.plan.port,
    data: null,
    socket: {
      data: (from, chunk) => receiveOrFail(run, from.data, chunk),
      drain: ({ data: connection }) => {
        if (connection?.unsent) {
          write(connection, connection.unsent);
        }
      },
      close: () => run.done.reject(new Error("the server closed a connection")),
      error: (_, error) => run.done.reject(error),
    },
  });
  socket.setNoDelay(true);
  const connection = {
    socket,
    post: Buffer.from(run.post),
    expected: 0,
    sentAt: 0,
    unsent: null,
    partial: null,
  };
  socket.data = connection;
  return connection;
};

/** Sends the requests that are due. A request without a free connection waits, and its latency already counts. */
const sendDue = (run: Run, startedAt: number, perSecond: number): void => {
  const elapsedSeconds = (performance.now() - startedAt) / 1000;
  const due = Math.min(run.plan.requests, Math.floor(elapsedSeconds * perSecond));
  for (let planned = run.issued + run.overdue.length; planned < due; planned += 1) {
    const at = startedAt + ((planned + 1) / perSecond) * 1000;
    const connection = run.idle.shift(); // the connection that was idle longest: the runtime closes a connection that is idle for ten seconds
    if (connection === undefined) {
      run.overdue.push(at);
    } else {
      sendNext(run, connection, at);
    }
  }
};

const drive = async (run: Run, connections: readonly Connection[]): Promise<void> => {
  const { perSecond } = run.plan;
  const startedAt = performance.now();
  for (const connection of connections) {
    proceed(run, connection);
  }
  const timetable = perSecond === null ? null : setInterval(() => sendDue(run, startedAt, perSecond), 1);
  await run.done.promise;
  if (timetable !== null) {
    clearInterval(timetable);
  }
};

const measure = async (plan: LoadPlan): Promise<LoadResult> => {
  const run = newRun(plan);
  const connections = await Promise.all(Array.from({ length: plan.connections }, () => connect(run)));
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  run.endsAt = startedAt + (plan.forMs ?? Number.POSITIVE_INFINITY);
  await drive(run, connections);
  const seconds = (performance.now() - startedAt) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  const sorted = run.latencies.subarray(0, run.timed).sort();
  return {
    requests: run.completed,
    seconds,
    perSecond: run.completed / seconds,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    p999Ms: percentile(sorted, 0.999),
    maxMs: percentile(sorted, 1),
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
  };
};

if (import.meta.main) {
  try {
    console.log(JSON.stringify(await measure(JSON.parse(Bun.argv[2] ?? "{}") as LoadPlan)));
    process.exit(0);
  } catch (error) {
    console.error(`load: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  }
}
