/** Clients that create tasks with unique names and keep the answers. */
import { createRawClient, exchange } from "../support/raw.ts";

/** One create as its client saw it. */
export type Asked = {
  readonly name: string;
  readonly askedAt: number;
  readonly tookMs: number;
  /** Null if the connection broke. */
  readonly status: number | null;
  readonly retryAfter: string | null;
  /** The id in a 201; otherwise null. */
  readonly id: number | null;
};

type Send = (body: string) => Promise<Response>;

async function ask(name: string, send: Send): Promise<Asked> {
  const askedAt = Date.now();
  const from = performance.now();
  const response = await send(JSON.stringify({ name })).catch(() => null);
  const asked = { name, askedAt, tookMs: performance.now() - from };
  if (response === null) return { ...asked, status: null, retryAfter: null, id: null };
  const { status } = response;
  const id = status === 201 ? ((await response.json()) as { task_id: number }).task_id : null; // api.test.ts checks the form
  return { ...asked, status, retryAfter: response.headers.get("retry-after"), id };
}

const post = (body: string) => ({ method: "POST", target: "/api/task", body });

/** Each client creates one task after the other until its connection breaks, and reports each answer. */
export async function createUntilGone(
  url: string,
  { clients, prefix, tell }: { clients: number; prefix: string; tell: (asked: Asked) => void },
): Promise<void> {
  const one = async (client: number): Promise<void> => {
    const connection = createRawClient(url);
    for (let n = 0; ; n++) {
      const asked = await ask(`${prefix}, ${client}.${n}`, (body) => connection.send(post(body)));
      tell(asked);
      if (asked.status === null) return connection.close();
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => one(client)));
}

export interface SteadyLoad {
  /** The answers so far. */
  readonly asked: readonly Asked[];
  /** The number of requests so far, answered or not. */
  readonly sent: number;
  /** Resolves when all requests are sent and answered. */
  readonly done: Promise<void>;
  /** Changes the rate. */
  pace(perSecond: number): void;
  /** Sends no more; resolves when all are answered. */
  stop(): Promise<void>;
}

/** Sends creates at an even rate, independent of the answers, each on its own connection. */
export function createSteadily(
  url: string,
  { perSecond, total = Number.POSITIVE_INFINITY }: { perSecond: number; total?: number },
): SteadyLoad {
  const asked: Asked[] = [];
  const underWay = new Set<Promise<void>>();
  const done = Promise.withResolvers<void>();
  let rate = perSecond;
  let tickedAt = performance.now();
  let due = 0;
  let sent = 0;

  const send = (): void => {
    const call = ask(`steady ${sent++}`, (body) => exchange(url, post(body))).then((answer) => {
      asked.push(answer);
      underWay.delete(call);
    });
    underWay.add(call);
  };
  const tick = (): void => {
    const now = performance.now();
    due = Math.min(total, due + ((now - tickedAt) / 1_000) * rate);
    tickedAt = now;
    while (sent < due) send();
    if (sent >= total) void stop();
  };
  const timer = setInterval(tick, 10);

  async function stop(): Promise<void> {
    clearInterval(timer);
    while (underWay.size > 0) await Promise.all(underWay);
    done.resolve();
  }

  return {
    asked,
    get sent() {
      return sent;
    },
    done: done.promise,
    pace: (next) => {
      rate = next;
    },
    stop,
  };
}
