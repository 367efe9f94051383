/**
 * Answers to requests whose body the server does not need. If only a part of the body was sent, the connection must be closed:
 * otherwise the client (or proxy) or the server would treat the next request as the rest of the body, or the rest of the body as a
 * request.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { DISCARD_BYTES, DISCARD_MS } from "../src/http/body.ts";
import { BODY_BYTES } from "../src/wire/json-body.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { createManualClock } from "./support/clock.ts";
import { eventually } from "./support/eventually.ts";
import { type Connection, openConnection } from "./support/raw.ts";

const clock = createManualClock();
let server: RunningApp;

beforeAll(async () => {
  server = await startApp({ ROLE: "api" }, { clock });
});
afterAll(() => server.stop());

const SMUGGLED = '{"name":"smuggled"}';
/** A body that would create a task if the server read it as a request. */
const BODY = `POST /api/task HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`;
const NEXT = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

const expectNothingSmuggled = async (): Promise<void> =>
  expect(await (await fetch(`${server.url}/api/task`)).text()).not.toContain("smuggled");

type Framing = { readonly it: string; readonly header: string; readonly body: string };

const CHUNKED_BODY = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;
const LENGTH = `Content-Length: ${BODY.length}`;
const FRAMINGS: readonly Framing[] = [
  { it: "a body of known length", header: LENGTH, body: BODY },
  { it: "a body in chunks", header: "Transfer-Encoding: chunked", body: CHUNKED_BODY },
  { it: "a body after 100 Continue", header: `${LENGTH}\r\nExpect: 100-continue`, body: BODY },
];

type Head = { readonly method: string; readonly target: string; readonly headers?: string };

const headOf = ({ method, target, headers = "Host: localhost\r\n" }: Head, { header }: Framing): string =>
  `${method} ${target} HTTP/1.1\r\n${headers}${header}\r\n\r\n`;

/** The head of the final answer; null while there is none. */
const answerIn = ({ received }: Connection): string | null =>
  /HTTP\/1\.1 [2-5]\d\d .*?(?=\r\n\r\n)/s.exec(received)?.[0] ?? null;

const CLOSES = /^connection: close$/im;
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];

async function everyRequest(): Promise<Head[]> {
  const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: object };
  const known = Object.keys(paths).map((path) => path.replace("{id}", "1").replace("{name}", "worker"));
  const targets = [...known, "/", "/tasks", "/assets/none.js", "/nothing"];
  return targets.flatMap((target) => METHODS.map((method) => ({ method, target })));
}

describe.each(FRAMINGS)("every method on every path with $it,", (framing) => {
  test("with an incomplete body, has no answer yet, or an answer that closes the connection", async () => {
    const requests = await everyRequest();
    expect(requests.length).toBeGreaterThan(150);
    const connections = requests.map((head) => {
      const connection = openConnection(server.url);
      connection.write(headOf(head, framing) + framing.body.slice(0, 20));
      return { ...head, connection };
    });
    // An answer that is too early has come by now. A request without an answer may be answered later.
    await fetch(`${server.url}/livez`);
    await clock.advance(DISCARD_MS);
    await fetch(`${server.url}/livez`);
    const livingOn = connections.filter(({ connection }) => {
      const answer = answerIn(connection);
      return answer !== null && !CLOSES.test(answer);
    });
    expect(livingOn.map(({ method, target }) => `${method} ${target}`)).toEqual([]);
    for (const { connection } of connections) connection.close();
    await expectNothingSmuggled();
  });

  test("with a complete body, has one answer, and so has the next request on the same connection", async () => {
    const answered = async (head: Head): Promise<string> => {
      const connection = openConnection(server.url);
      connection.write(headOf(head, framing) + framing.body);
      await eventually(
        () => answerIn(connection),
        (answer) => answer !== null,
      );
      if (CLOSES.test(answerIn(connection) ?? "")) {
        connection.close();
        return "closes";
      }
      await connection.read(head.method === "HEAD");
      connection.write(NEXT);
      const { status } = await connection.read();
      const rest = connection.received;
      connection.close();
      return `${status} ${rest}`;
    };
    const requests = await everyRequest();
    const outcomes = await Promise.all(requests.map(answered));
    expect([...new Set(outcomes)].sort()).toEqual(["200 ", "closes"]);
    await expectNothingSmuggled();
  });
});

// ---- answers that are given without the body

type Refusal = Head & { readonly it: string; readonly status: number };

const JSON_TYPE = "Content-Type: application/json\r\n";
const LOCAL = "Host: localhost\r\n";
const BROWSER = "User-Agent: Mozilla/5.0\r\n";

const REFUSALS: readonly Refusal[] = [
  {
    it: "another origin",
    status: 403,
    method: "POST",
    target: "/api/task",
    headers: `${LOCAL}Origin: http://a.test\r\n`,
  },
  {
    it: "a foreign host",
    status: 403,
    method: "POST",
    target: "/api/task",
    headers: `Host: a.test\r\n${BROWSER}`,
  },
  { it: "two hosts", status: 400, method: "POST", target: "/api/task", headers: "Host: a,b\r\n" },
  { it: "an unknown path", status: 404, method: "POST", target: "/nothing" },
  { it: "an unknown page", status: 404, method: "DELETE", target: "/nothing" },
  { it: "an invalid id", status: 400, method: "POST", target: "/api/task/x/cancel" },
  { it: "a method that the path does not have", status: 405, method: "PUT", target: "/api/task" },
  { it: "a method that no path has", status: 405, method: "PROPFIND", target: "/api/task" },
  { it: "a long URL", status: 414, method: "POST", target: `/api/task?${"a".repeat(9_000)}` },
  {
    it: "a media type",
    status: 415,
    method: "POST",
    target: "/api/task",
    headers: `${LOCAL}Content-Type: text/html\r\n`,
  },
  {
    it: "a coding",
    status: 415,
    method: "POST",
    target: "/api/task",
    headers: `${LOCAL}${JSON_TYPE}Content-Encoding: gzip\r\n`,
  },
  {
    it: "long headers",
    status: 431,
    method: "POST",
    target: "/api/task",
    headers: `${LOCAL}X: ${"a".repeat(17_000)}\r\n`,
  },
  { it: "a DELETE", status: 404, method: "DELETE", target: "/api/task/1" },
  { it: "OPTIONS", status: 204, method: "OPTIONS", target: "/api/task" },
];

const isAnswered = async (connection: Connection): Promise<string> =>
  (await eventually(
    async () => {
      await clock.advance(DISCARD_MS);
      return answerIn(connection);
    },
    (answer) => answer !== null,
  )) ?? "";

const isClosed = async (connection: Connection): Promise<void> =>
  void (await eventually(
    () => connection.isOver,
    (isOver) => isOver,
  ));

describe.each(FRAMINGS)("with $it whose rest does not come,", (framing) => {
  test.each(REFUSALS)(
    "$it is answered with $status after a while, and the connection is closed",
    async (refusal) => {
      const connection = openConnection(server.url);
      connection.write(headOf(refusal, framing) + framing.body.slice(0, 20));
      const answer = await isAnswered(connection);
      expect(answer).toStartWith(`HTTP/1.1 ${refusal.status} `);
      expect(answer).toMatch(CLOSES);
      await isClosed(connection);
      await expectNothingSmuggled();
    },
  );
});

const TOO_LONG = `POST /api/task HTTP/1.1\r\n${LOCAL}${JSON_TYPE}`;

describe("a body that is too long", () => {
  test("and is announced but not sent is refused after a while, and the connection is closed", async () => {
    const connection = openConnection(server.url);
    connection.write(`${TOO_LONG}Content-Length: ${2 * BODY_BYTES}\r\n\r\n{`);
    const answer = await isAnswered(connection);
    expect(answer).toStartWith("HTTP/1.1 413 ");
    expect(answer).toMatch(CLOSES);
    await isClosed(connection);
  });

  test("and longer than the discard limit is refused at once, and the connection is closed", async () => {
    const connection = openConnection(server.url);
    connection.write(`${TOO_LONG}Content-Length: ${DISCARD_BYTES + 1}\r\n\r\n{`);
    const response = await connection.read();
    expect([response.status, response.headers.get("connection")]).toEqual([413, "close"]);
    await isClosed(connection);
  });

  test("and endless is refused when the discard limit is reached, and the connection is closed", async () => {
    const connection = openConnection(server.url);
    connection.write(`${TOO_LONG}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = `${BODY_BYTES.toString(16)}\r\n${"a".repeat(BODY_BYTES)}\r\n`;
    for (let length = 0; length <= DISCARD_BYTES + BODY_BYTES; length += BODY_BYTES) connection.write(chunk);
    const response = await connection.read();
    expect([response.status, response.headers.get("connection")]).toEqual([413, "close"]);
    await isClosed(connection);
  });

  test.each(["Content-Length", "chunked"])(
    "and comes whole by %s leaves the connection usable",
    async (by) => {
      const connection = openConnection(server.url);
      const body = "a".repeat(3 * BODY_BYTES);
      const isChunked = by === "chunked";
      const framed = isChunked ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body;
      const header = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`;
      connection.write(`${TOO_LONG}${header}\r\n\r\n${framed}`);
      const response = await connection.read();
      expect([response.status, response.headers.get("connection")]).toEqual([413, null]);
      connection.write(NEXT);
      expect((await connection.read()).status).toBe(200);
      connection.close();
    },
  );
});

describe.each(FRAMINGS)("with $it", (framing) => {
  test.each(REFUSALS)(
    "$it and the next request in one piece get their own answers or none",
    async (refusal) => {
      const connection = openConnection(server.url);
      connection.write(headOf(refusal, framing) + framing.body + NEXT);
      const statuses: number[] = [];
      try {
        while (statuses.length < 2) statuses.push((await connection.read()).status);
      } catch {
        // the runtime closes a connection if a request arrives before the previous one is answered
      }
      connection.close();
      expect([refusal.status, 200]).toEqual([...statuses, ...[refusal.status, 200].slice(statuses.length)]);
      await expectNothingSmuggled();
    },
  );
});

// ---- framings that some proxies and servers understand differently; the runtime refuses them

const AMBIGUOUS: readonly (readonly [it: string, headers: string, isChunked: boolean])[] = [
  ["both framings", `Transfer-Encoding: chunked\r\n${LENGTH}`, true],
  ["both framings, the length first", `${LENGTH}\r\nTransfer-Encoding: chunked`, true],
  ["two lengths", `Content-Length: 0\r\n${LENGTH}`, false],
  ["a list of lengths", `${LENGTH}, ${BODY.length}`, false],
  ["a length with a sign", `Content-Length: +${BODY.length}`, false],
  ["a length in hexadecimal", `Content-Length: 0x${BODY.length.toString(16)}`, false],
  ["an empty length", "Content-Length:", false],
  ["a length that is too large", "Content-Length: 99999999999999999999999", false],
  ["a space before the colon", "Transfer-Encoding : chunked", true],
  ["a vertical tab before the coding", "Transfer-Encoding: \v" + "chunked", true],
  ["another coding as well", "Transfer-Encoding: gzip, chunked", true],
  ["chunked and then identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", true],
  ["identity and then chunked", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", true],
  ["identity and a length", `Transfer-Encoding: identity\r\n${LENGTH}`, false],
  ["an unknown coding", "Transfer-Encoding: xchunked", true],
];

describe.each(["GET", "POST", "DELETE"])("%s with", (method) => {
  test.each(AMBIGUOUS)("%s is refused, and the connection is closed", async (_, header, isChunked) => {
    const connection = openConnection(server.url);
    const body = isChunked ? CHUNKED_BODY : BODY;
    connection.write(headOf({ method, target: "/api/task/1" }, { it: "", header, body }) + body + NEXT);
    const response = await connection.read();
    expect([response.status, response.headers.get("connection")]).toEqual([400, "close"]);
    await isClosed(connection);
    await expectNothingSmuggled();
  });
});
