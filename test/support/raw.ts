/** HTTP/1.1 byte by byte, for requests that fetch cannot send: odd targets, two Host headers, broken bodies, cut connections. */
import { connect, type Socket } from "node:net";

export type RawRequest = {
  readonly method?: string;
  /** The text between method and version, as it is sent. */
  readonly target: string;
  /** Sent as they are, in order; Host is added unless one is given. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string | Uint8Array;
  /** Whether the body is sent in chunks, without a Content-Length. */
  readonly chunked?: boolean;
};

/** A connection that ended before its answer was complete. */
export class ConnectionCut extends Error {
  /** All received bytes. */
  readonly received: string;

  constructor(reason: string, received: Buffer) {
    super(`the connection was cut (${reason}) after ${received.length} bytes`);
    this.received = received.toString("latin1");
  }
}

/** A client that keeps its connection for the next request, and opens a new one when the server has closed it. */
export interface RawClient {
  /** Rejects with ConnectionCut, or with the system's error if no server listens. */
  send(request: RawRequest): Promise<Response>;
  close(): void;
}

export function createRawClient(url: string): RawClient {
  let connection: Connection | null = null;

  return {
    send: async (request) => {
      if (connection === null || connection.isOver) connection = openConnection(url);
      connection.write(encode(request));
      const response = await connection.read(request.method === "HEAD");
      if (response.headers.get("connection") === "close") connection.close();
      return response;
    },
    close: () => connection?.close(),
  };
}

/** One request on a connection of its own. */
export async function exchange(url: string, request: RawRequest | string): Promise<Response> {
  const connection = openConnection(url);
  try {
    if (typeof request === "string") {
      connection.write(Buffer.from(request, "latin1"));
      return await connection.read(request.startsWith("HEAD "));
    }
    connection.write(encode(request));
    return await connection.read(request.method === "HEAD");
  } finally {
    connection.close();
  }
}

export interface Connection {
  readonly isOver: boolean;
  /** The received bytes that were not read yet. */
  readonly received: string;
  write(bytes: Uint8Array | string): void;
  /** The next complete answer. */
  read(isHead?: boolean): Promise<Response>;
  /** Reads nothing more from the connection. */
  pause(): void;
  close(): void;
}

export function openConnection(url: string): Connection {
  const { hostname, port } = new URL(url);
  const socket: Socket = connect({
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port),
    noDelay: true,
  });
  let received: Buffer = Buffer.alloc(0);
  let over: Error | null = null;
  let connected = false;
  let changed = (): void => undefined;

  const end = (error: Error): void => {
    over ??= error;
    changed();
  };
  socket.on("connect", () => {
    connected = true;
  });
  socket.on("data", (bytes) => {
    received = Buffer.concat([received, bytes as Buffer]); // no encoding is set
    changed();
  });
  socket.on("error", (error) => end(connected ? new ConnectionCut(error.message, received) : error));
  socket.on("close", () => end(new ConnectionCut("closed", received)));

  return {
    get isOver() {
      return over !== null;
    },
    get received() {
      return received.toString("latin1");
    },
    write: (bytes) => void socket.write(bytes),
    read: async (isHead = false) => {
      for (;;) {
        const parsed = parseAnswer(received, isHead, over !== null);
        if (parsed !== null) {
          received = received.subarray(parsed.length);
          return parsed.response;
        }
        if (over !== null) throw over;
        await new Promise<void>((resolve) => {
          changed = resolve;
        });
      }
    },
    pause: () => void socket.pause(),
    close: () => {
      socket.destroy();
      end(new ConnectionCut("closed here", received));
    },
  };
}

// ---- requests

export function encode({ method = "GET", target, headers = [], body, chunked = false }: RawRequest): Buffer {
  const lines = [`${method} ${target} HTTP/1.1`];
  if (!headers.some(([name]) => name.toLowerCase() === "host")) lines.push("Host: localhost");
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);
  const bytes = body === undefined ? null : typeof body === "string" ? Buffer.from(body) : Buffer.from(body);
  if (bytes !== null) lines.push(chunked ? "Transfer-Encoding: chunked" : `Content-Length: ${bytes.length}`);
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  if (bytes === null) return head;
  return Buffer.concat([head, chunked ? inChunks(bytes) : bytes]);
}

const CHUNK_BYTES = 16_384;

function inChunks(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const chunk = bytes.subarray(at, at + CHUNK_BYTES);
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}

// ---- answers

type Parsed = { readonly response: Response; readonly length: number };
type Framed = { readonly body: Buffer; readonly end: number };

/** The first complete answer in these bytes; null if it is incomplete. */
function parseAnswer(bytes: Buffer, isHead: boolean, isOver: boolean): Parsed | null {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return null;
  const [statusLine = "", ...lines] = bytes.subarray(0, headEnd).toString("latin1").split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]);
  const start = headEnd + 4;
  if (status < 200) {
    const rest = parseAnswer(bytes.subarray(start), isHead, isOver);
    return rest === null ? null : { ...rest, length: rest.length + start };
  }
  const headers = new Headers(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
  const bodiless = isHead || status === 204 || status === 304;
  const framed = bodiless ? { body: null, end: start } : frameBody(bytes, start, headers, isOver);
  if (framed === null) return null;
  return {
    response: new Response(framed.body && new Uint8Array(framed.body), { status, headers }),
    length: framed.end,
  };
}

function frameBody(bytes: Buffer, start: number, headers: Headers, isOver: boolean): Framed | null {
  const length = headers.get("content-length");
  if (length !== null) {
    const end = start + Number(length);
    return bytes.length < end ? null : { body: bytes.subarray(start, end), end };
  }
  if (headers.get("transfer-encoding") === "chunked") return frameChunks(bytes, start);
  return isOver ? { body: bytes.subarray(start), end: bytes.length } : null;
}

function frameChunks(bytes: Buffer, start: number): Framed | null {
  const chunks: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return null;
    const length = Number.parseInt(bytes.subarray(at, lineEnd).toString("latin1"), 16);
    const chunkStart = lineEnd + 2;
    if (bytes.length < chunkStart + length + 2) return null;
    chunks.push(bytes.subarray(chunkStart, chunkStart + length));
    at = chunkStart + length + 2;
    if (length === 0) return { body: Buffer.concat(chunks), end: at };
  }
}
