/**
 * One HTTP request over a connection of its own. `fetch` and agents open connections themselves, so the
 * address that they use cannot be checked. Here the name is resolved once, each of its addresses is checked,
 * and the socket is opened to one of these addresses. Redirects and proxies of the environment are ignored:
 * both would choose another address.
 */
import { lookup as askResolver } from "node:dns/promises";
import { type IncomingMessage, request } from "node:http";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Clock } from "../core/clock.ts";
import { formatDurationMs } from "../core/duration.ts";
import { parseAddress } from "../lib/addresses.ts";
import { onAbort } from "../lib/waiting.ts";

/** Resolves a host to all its addresses; rejects if it has none. */
export type Lookup = (host: string) => Promise<readonly string[]>;

export type Target = {
  readonly isSecure: boolean;
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Trusted certificate authorities in PEM, instead of those of the runtime. */
  readonly ca: readonly string[] | null;
};

export type Call = {
  readonly target: Target;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal: AbortSignal;
  readonly limits: CallLimits;
};

export type CallLimits = {
  /** The limit for name resolution, connection and handshake together. */
  readonly connectMs: number;
  /** The limit from the connection to the head of the answer. */
  readonly answerMs: number;
  /** The limit for each pause within the answer's body. */
  readonly idleMs: number;
  /** The limit for the body of an answer with a status in the 200s. */
  readonly resultBytes: number;
  /** The limit for the body of any other answer; one line of it is shown. */
  readonly errorBytes: number;
};

export type CallWorld = {
  readonly lookup: Lookup;
  readonly clock: Clock;
  /** Why a connection to an address is not allowed; null if it is allowed. */
  readonly refusalOf: (address: string) => string | null;
};

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
  /** The body is not complete: it is longer than its limit, or the connection broke. */
  readonly isCut: boolean;
};

/** The reason that there is no answer. */
export class CallError extends Error {
  override readonly name = "CallError";
  readonly code: "address_refused" | "network_error" | "http_timeout" | "aborted";

  constructor(code: CallError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** Resolves by the machine's resolver. */
export const systemLookup: Lookup = async (host) => {
  const found = await askResolver(host, { all: true });
  return found.map(({ address }) => address);
};

/** TCP keep-alive: the kernel finds dead peers while a slow answer is awaited. */
const KEEP_ALIVE_AFTER_MS = 30_000;

/** Sends the request and reads the answer; rejects with CallError. Closes all that it opened in any case. */
export async function call(asked: Call, world: CallWorld): Promise<Answer> {
  const connectBy = world.clock.monotonic() + asked.limits.connectMs;
  const socket = await connect(await addressesOf(asked, world, connectBy), asked, world, connectBy);
  try {
    return await exchange(await secure(socket, asked, world, connectBy), asked, world);
  } finally {
    socket.destroy();
  }
}

// ---- addresses

/** The addresses of the target's host. A single address that is not allowed refuses the whole name. */
async function addressesOf(asked: Call, world: CallWorld, by: number): Promise<readonly string[]> {
  const { host } = asked.target;
  const addresses = parseAddress(host) === null ? await look(host, asked, world, by) : [host];
  if (addresses.length === 0) throw new CallError("network_error", `${host} has no address`);
  for (const address of addresses) judge(address, host, world);
  return addresses;
}

const look = (host: string, asked: Call, world: CallWorld, by: number): Promise<readonly string[]> =>
  step<readonly string[]>(
    { ...during(asked, world, by), doing: `the name resolution of ${host}` },
    (done, failed) => {
      world.lookup(host).then(done, failed);
      return () => undefined; // a resolver cannot be stopped; its answer is ignored
    },
  );

function judge(address: string, host: string, world: CallWorld): void {
  const why = world.refusalOf(address);
  if (why === null) return;
  const what = address === host ? address : `${host} has the address ${address}, which`;
  throw new CallError("address_refused", `${what} is not on the open internet (${why})`);
}

// ---- the connection

/** Tries one address after the other. The remaining time is divided equally, so that a dead address cannot use it up. */
async function connect(
  addresses: readonly string[],
  asked: Call,
  world: CallWorld,
  by: number,
): Promise<Socket> {
  let latest = new CallError("network_error", `${asked.target.host} has no address`);
  for (const [at, address] of addresses.entries()) {
    const now = world.clock.monotonic();
    try {
      return await connectTo(address, asked, world, now + (by - now) / (addresses.length - at));
    } catch (error) {
      if (!isCallError(error) || error.code === "address_refused") throw error;
      latest = error;
    }
  }
  throw latest;
}

async function connectTo(address: string, asked: Call, world: CallWorld, by: number): Promise<Socket> {
  const { host, port } = asked.target;
  const doing = `the connection to ${host} (${address}, port ${port})`;
  const socket = await step<Socket>({ ...during(asked, world, by), doing }, (done, failed) => {
    const opened = connectTcp({ host: address, port, noDelay: true });
    opened.once("connect", () => done(opened)).on("error", failed);
    return () => opened.destroy();
  });
  try {
    judgeSocket(socket, address, asked, world);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
}

/** Checks the address of the peer by the kernel, before a byte is sent. */
function judgeSocket(socket: Socket, address: string, asked: Call, world: CallWorld): void {
  const { host } = asked.target;
  const { remoteAddress } = socket;
  if (remoteAddress === undefined)
    throw new CallError("network_error", `${host} closed the connection at once`);
  if (parseAddress(remoteAddress)?.value !== parseAddress(address)?.value) {
    throw new CallError("address_refused", `${host} should be ${address}, but ${remoteAddress} answered`);
  }
  judge(remoteAddress, host, world);
}

/** Adds TLS if the target needs it, with a certificate that is valid for the host of the URL. */
function secure(socket: Socket, asked: Call, world: CallWorld, by: number): Promise<Socket> {
  const { isSecure, host, ca } = asked.target;
  if (!isSecure) return Promise.resolve(socket);
  const doing = `the TLS handshake with ${host}`;
  return step<Socket>({ ...during(asked, world, by), doing }, (done, failed) => {
    const opened = connectTls({
      socket,
      host, // the certificate must be valid for it
      ...(parseAddress(host) === null ? { servername: host } : {}), // RFC 6066 3: an address is no server name
      ...(ca === null ? {} : { ca: [...ca] }),
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: true, // even if NODE_TLS_REJECT_UNAUTHORIZED is 0
    });
    opened.once("secureConnect", () => done(opened)).on("error", failed);
    socket.on("error", failed).once("close", () => failed(new Error("the connection was closed")));
    return () => opened.destroy();
  });
}

// ---- the request

const exchange = (socket: Socket, asked: Call, world: CallWorld): Promise<Answer> =>
  step<Answer>(
    { ...during(asked, world, Number.POSITIVE_INFINITY), doing: `the request to ${asked.target.host}` },
    (done, failed) => {
      const { host, path } = asked.target;
      const watch = createWatch(world.clock, (message) => failed(new CallError("http_timeout", message)));
      const sent = request({ createConnection: () => socket, method: "POST", path, headers: asked.headers });
      const close = (): void => {
        watch.end();
        sent.destroy();
      };
      const answered = (answer: Answer): void => {
        done(answer);
        close();
      };
      watch.within(asked.limits.answerMs, `${host} did not begin to answer`);
      sent.on("error", failed);
      sent.once("response", (response) => readAnswer(response, { asked, watch, answered, failed }));
      sent.once("upgrade", (response) => answered(bareAnswer(response)));
      sent.end(asked.body);
      return close;
    },
  );

type Reading = {
  readonly asked: Call;
  readonly watch: Watch;
  readonly answered: (answer: Answer) => void;
  readonly failed: (error: unknown) => void;
};

function readAnswer(response: IncomingMessage, { asked, watch, answered, failed }: Reading): void {
  const status = response.statusCode ?? 0;
  const isSuccess = status >= 200 && status < 300;
  const most = isSuccess ? asked.limits.resultBytes : asked.limits.errorBytes;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const answer = (isCut: boolean): Answer => ({
    status,
    headers: plainHeaders(response),
    body: Buffer.concat(chunks),
    isCut,
  });
  const lookAgain = (): void =>
    watch.within(asked.limits.idleMs, `${asked.target.host} did not continue its answer`);
  lookAgain();
  response.on("data", (chunk: Uint8Array) => {
    lookAgain();
    chunks.push(chunk);
    bytes += chunk.byteLength;
    if (bytes > most) answered(answer(true));
  });
  response.once("end", () => answered(answer(false)));
  // The incomplete body of an error is good enough for a message. An incomplete result is not a result.
  const broken = (): void =>
    isSuccess
      ? failed(new Error("the connection ended in the middle of the answer"))
      : answered(answer(true));
  response.once("error", broken).once("close", broken);
}

/** The answer to an unwanted change of protocol. It has no body that could be read. */
const bareAnswer = (response: IncomingMessage): Answer => ({
  status: response.statusCode ?? 0,
  headers: plainHeaders(response),
  body: new Uint8Array(),
  isCut: false,
});

const plainHeaders = ({ headers }: IncomingMessage): Answer["headers"] => ({
  "content-type": headers["content-type"],
  "content-encoding": headers["content-encoding"],
  "retry-after": headers["retry-after"],
  location: headers.location,
});

/** One timer that is set again and again. */
interface Watch {
  within(ms: number, message: string): void;
  end(): void;
}

function createWatch(clock: Clock, late: (message: string) => void): Watch {
  let end = (): void => undefined;
  return {
    within: (ms, message) => {
      end();
      end = clock.after(ms, () => late(`${message} within ${formatDurationMs(ms)}`));
    },
    end: () => end(),
  };
}

// ---- steps

type During = {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Monotonic. */
  readonly by: number;
};

const during = ({ signal }: Call, { clock }: CallWorld, by: number): During => ({ signal, clock, by });

/**
 * A step of the call. It ends by `done`, by an error, by its time limit or by the signal. In the last three
 * cases the step is closed: `begin` returns the function that closes it.
 */
function step<T>(
  { signal, clock, by, doing }: During & { readonly doing: string },
  begin: (done: (value: T) => void, failed: (error: unknown) => void) => () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let state: "going" | "done" | "failed" = "going";
    let close = (): void => undefined;
    let cancelTimer = (): void => undefined;
    let unlisten = (): void => undefined;
    const end = (how: "done" | "failed"): boolean => {
      if (state !== "going") return false;
      state = how;
      cancelTimer();
      unlisten();
      return true;
    };
    const done = (value: T): void => {
      if (end("done")) resolve(value);
    };
    const failed = (error: unknown): void => {
      if (!end("failed")) return;
      close();
      reject(isCallError(error) ? error : new CallError("network_error", `${doing}: ${textOf(error)}`));
    };
    const hasFailed = (): boolean => state === "failed";

    unlisten = onAbort(signal, () => failed(new CallError("aborted", `${doing}: aborted`)));
    if (hasFailed()) return;
    const leftMs = by - clock.monotonic();
    const late = (): void => failed(new CallError("http_timeout", `${doing} took too long`));
    if (leftMs <= 0) return late();
    if (leftMs !== Number.POSITIVE_INFINITY) cancelTimer = clock.after(leftMs, late);
    close = begin(done, failed);
    if (hasFailed()) close(); // it failed within `begin`, before `close` was known
  });
}

export const isCallError = (error: unknown): error is CallError => error instanceof CallError;

/** Bun and Node.js set a code on errors of the system, and not always a message. */
const textOf = (error: unknown): string =>
  error instanceof Error ? error.message || String("code" in error ? error.code : error.name) : String(error);
