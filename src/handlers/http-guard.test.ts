/**
 * The addresses that `http()` connects to. A listener on all addresses of this machine, IPv4 and IPv6, counts connections. A refused
 * call must not make a connection. Without the guard the same calls do reach the listener, which shows that the count works.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { eventually } from "../../test/support/eventually.ts";
import { runOnce } from "../../test/support/handling.ts";
import { isPublicAddress } from "../lib/addresses.ts";
import { createHttp, type HttpMaker, http, httpWorld } from "./http.ts";
import { type Lookup, systemLookup } from "./http-call.ts";

type Listener = {
  readonly port: number;
  /** The local addresses of the connections since the previous call. */
  reached(): Promise<string[]>;
  close(): void;
};

/** The source address of the marker connection. A source port is not enough, because the system may have used it before. */
const MARKER = "127.77.7.7";

async function listen(host: string, answer: string): Promise<Listener> {
  const connections: { readonly at: string; readonly isMarker: boolean }[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const isMarker = socket.remoteAddress?.endsWith(MARKER) === true;
    connections.push({ at: (socket.localAddress ?? "").replace("::ffff:", ""), isMarker });
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.once("data", () => socket.end(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  // A server that listens on a port has an address of this kind.
  const { port } = server.address() as AddressInfo;
  /** Connections are accepted in order: when the marker connection is counted, all earlier connections are counted. */
  const reached = async (): Promise<string[]> => {
    const last = connect({ port, host: "127.0.0.1", localAddress: MARKER });
    await eventually(
      () => connections.some(({ isMarker }) => isMarker),
      (isCounted) => isCounted,
    );
    const all = connections.splice(0).filter(({ isMarker }) => !isMarker);
    last.destroy();
    return all.map(({ at }) => at);
  };
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port, reached, close };
}

const OK = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 7\r\n\r\nreached";

let guarded: Listener;
beforeAll(async () => {
  guarded = await listen("::", OK);
});
afterAll(() => guarded.close());

/** Addresses of this machine, in all notations of a host. PORT is the listener's port. */
const HERE: readonly string[] = [
  // the usual notation
  "http://127.0.0.1:PORT/",
  "http://127.0.0.2:PORT/",
  "http://127.0.0.53:PORT/",
  "http://127.1.2.3:PORT/",
  "http://127.255.255.254:PORT/",
  "http://0.0.0.0:PORT/",
  "http://[::1]:PORT/",
  "http://[::]:PORT/",
  // short forms
  "http://127.1:PORT/",
  "http://127.0.1:PORT/",
  "http://127.65530:PORT/",
  "http://0:PORT/",
  "http://0.0:PORT/",
  "http://127.0.258:PORT/",
  // decimal
  "http://2130706433:PORT/",
  "http://2130706434:PORT/",
  "http://2147483646:PORT/",
  // octal
  "http://017700000001:PORT/",
  "http://0177.0.0.1:PORT/",
  "http://0177.0.0.01:PORT/",
  "http://00000177.0.0.1:PORT/",
  "http://0177.1:PORT/",
  "http://0177.0.1:PORT/",
  "http://000:PORT/",
  "http://0177.0000.0000.0001:PORT/",
  // hexadecimal
  "http://0x7f000001:PORT/",
  "http://0x7F000001:PORT/",
  "http://0X7f.0.0.1:PORT/",
  "http://0x7f.0x0.0x0.0x1:PORT/",
  "http://0x7f.1:PORT/",
  "http://0x7f.0.1:PORT/",
  "http://0x0:PORT/",
  "http://0x:PORT/",
  "http://0x7f.0x000001:PORT/",
  // mixed
  "http://127.0.0x0.1:PORT/",
  "http://0x7f.0.0.01:PORT/",
  "http://0177.0x0.0.1:PORT/",
  "http://127.0x1:PORT/",
  "http://0177.0x00.00.1:PORT/",
  // trailing dots
  "http://127.0.0.1.:PORT/",
  "http://127.1.:PORT/",
  "http://2130706433.:PORT/",
  "http://0x7f000001.:PORT/",
  "http://0.:PORT/",
  // Unicode digits and dots
  "http://①②⑦.⓪.⓪.①:PORT/",
  "http://１２７.０.０.１:PORT/",
  "http://127。0。0。1:PORT/",
  "http://127．0．0．1:PORT/",
  "http://127｡0｡0｡1:PORT/",
  "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏:PORT/",
  "http://𝟙𝟚𝟟.0.0.1:PORT/",
  "http://１２７。１:PORT/",
  "http://⓪ｘ7f000001:PORT/",
  "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/",
  "http://ｌｏｃａｌｈｏｓｔ:PORT/",
  "http://𝓁𝑜𝒸𝒶𝓁𝒽𝑜𝓈𝓉:PORT/",
  "http://loc\u00adalhost:PORT/",
  "http://127.0.0.1\u200b:PORT/",
  "http://localhoſt:PORT/",
  // percent-encoding
  "http://%31%32%37.0.0.1:PORT/",
  "http://127%2e0%2e0%2e1:PORT/",
  "http://%6c%6f%63%61%6c%68%6f%73%74:PORT/",
  "http://127%E3%80%820.0.1:PORT/",
  "http://%30%78%37%66.1:PORT/",
  "http://%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1:PORT/",
  // names of this machine
  "http://localhost:PORT/",
  "http://LOCALHOST:PORT/",
  "http://LocalHost:PORT/",
  "http://localhost.:PORT/",
  // other ways to write IPv6
  "http://[0:0:0:0:0:0:0:1]:PORT/",
  "http://[0000:0000:0000:0000:0000:0000:0000:0001]:PORT/",
  "http://[::0001]:PORT/",
  "http://[0::1]:PORT/",
  "http://[::0:1]:PORT/",
  "http://[::0.0.0.1]:PORT/",
  "http://[0::0]:PORT/",
  "http://[::0.0.0.0]:PORT/",
  "http://[0:0::0:1]:PORT/",
  // IPv4 in IPv6
  "http://[::ffff:127.0.0.1]:PORT/",
  "http://[::FFFF:7F00:1]:PORT/",
  "http://[::ffff:7f00:0001]:PORT/",
  "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/",
  "http://[::ffff:127.1.2.3]:PORT/",
  // the parts of the URL around the host
  "http:127.0.0.1:PORT/",
  "http:/127.0.0.1:PORT/",
  "http:///127.0.0.1:PORT/",
  "http:////127.0.0.1:PORT/",
  "http:\\\\127.0.0.1:PORT/",
  "http:/\\127.0.0.1:PORT/",
  "HTTP://127.0.0.1:PORT/",
  " http://127.0.0.1:PORT/ ",
  "\u0000http://127.0.0.1:PORT/",
  "ht\ntp://127.0.0.1:PORT/",
  "http://127.0.\t0.1:PORT/",
  "http://127.0.0.1:\rPORT/",
  "http://127.0.0.1:00PORT/",
  "http://@127.0.0.1:PORT/",
  "http://:@127.0.0.1:PORT/",
  "http://127.0.0.1:PORT\\@public.example/",
  "http://127.0.0.1:PORT/@public.example/",
  "http://127.0.0.1:PORT#@public.example/",
  "http://127.0.0.1:PORT?@public.example/",
  "http://127.0.0.1:PORT",
  "http://127.0.0.1:PORT/../../x?y#z",
];

/** Other addresses that must be refused. No server listens there in this test. */
const ELSEWHERE: readonly string[] = [
  // clouds' metadata
  "http://169.254.169.254/latest/meta-data/",
  "http://169.254.169.254:PORT/",
  "http://169.254.170.2/v2/credentials",
  "http://169.254.170.23/v1/credentials",
  "http://[fd00:ec2::254]/latest/meta-data/",
  "http://[fd20:ce::254]/computeMetadata/v1/",
  "http://2852039166/latest/meta-data/",
  "http://0xa9fea9fe/",
  "http://0251.0376.0251.0376/",
  "http://025177524776/",
  "http://0xa9.254.0251.0xfe/",
  "http://169.254.43518/",
  "http://169.16689662/",
  "http://169。254。169。254/",
  "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④/",
  "http://169.254.169.254./",
  "http://[::ffff:169.254.169.254]/",
  "http://[::ffff:a9fe:a9fe]/",
  "http://[::169.254.169.254]/",
  "http://[64:ff9b::169.254.169.254]/",
  "http://[64:ff9b:1::169.254.169.254]/",
  "http://[2002:a9fe:a9fe::]/",
  "http://100.100.100.200/latest/meta-data/",
  "http://192.0.0.192/opc/v2/",
  "http://168.63.129.16/machine/",
  // private and the like
  "http://10.0.0.1:PORT/",
  "http://10.1:PORT/",
  "http://167772161:PORT/",
  "http://0xa.1:PORT/",
  "http://012.1:PORT/",
  "http://172.16.0.1:PORT/",
  "http://172.31.255.255:PORT/",
  "http://192.168.0.1:PORT/",
  "http://192.168.257:PORT/",
  "http://3232235521:PORT/",
  "http://100.64.0.1:PORT/",
  "http://100.127.255.254:PORT/",
  "http://198.18.0.1:PORT/",
  "http://198.19.255.255:PORT/",
  "http://192.0.2.1:PORT/",
  "http://198.51.100.1:PORT/",
  "http://203.0.113.1:PORT/",
  "http://192.88.99.1:PORT/",
  "http://0.1.2.3:PORT/",
  "http://224.0.0.1:PORT/",
  "http://239.255.255.255:PORT/",
  "http://240.0.0.1:PORT/",
  "http://255.255.255.255:PORT/",
  "http://4294967295:PORT/",
  "http://0xffffffff:PORT/",
  "http://037777777777:PORT/",
  // IPv6 addresses of special ranges
  "http://[::127.0.0.1]:PORT/",
  "http://[::7f00:1]:PORT/",
  "http://[::10.0.0.1]:PORT/",
  "http://[::ffff:10.0.0.1]:PORT/",
  "http://[::ffff:0:127.0.0.1]:PORT/",
  "http://[64:ff9b::127.0.0.1]:PORT/",
  "http://[64:ff9b::7f00:1]:PORT/",
  "http://[64:ff9b:1::10.0.0.1]:PORT/",
  "http://[2002:7f00:1::]:PORT/",
  "http://[2002:a00:1::1]:PORT/",
  "http://[2001::1]:PORT/",
  "http://[2001:0:7f00:1:0:ffff:80ff:fffe]:PORT/",
  "http://[2001:2::1]:PORT/",
  "http://[2001:10::1]:PORT/",
  "http://[2001:20::1]:PORT/",
  "http://[2001:db8::1]:PORT/",
  "http://[3fff::1]:PORT/",
  "http://[100::1]:PORT/",
  "http://[fc00::1]:PORT/",
  "http://[fdff::1]:PORT/",
  "http://[fe80::1]:PORT/",
  "http://[febf::1]:PORT/",
  "http://[fec0::1]:PORT/",
  "http://[ff02::1]:PORT/",
  "http://[ff0e::1]:PORT/",
  "http://[5f00::1]:PORT/",
  "http://[4000::1]:PORT/",
];

/** Invalid URLs: without a readable host, with an account, or with another scheme. */
const NO_URL: readonly string[] = [
  "http://user@127.0.0.1:PORT/",
  "http://user:pass@127.0.0.1:PORT/",
  "http://:pass@127.0.0.1:PORT/",
  "http://public.example@127.0.0.1:PORT/",
  "http://public.example:80@127.0.0.1:PORT/",
  "http://public.example%40@127.0.0.1:PORT/",
  "http://public.example%2f@127.0.0.1:PORT/",
  "http://public.example @127.0.0.1:PORT/",
  "http://a@b@127.0.0.1:PORT/",
  "http://127.0.0.1:PORT@public.example/",
  "http://127.0.0.1%00.public.example:PORT/",
  "http://127.0.0.1%0d%0aHost:x:PORT/",
  "http://127.0.0.1 .public.example:PORT/",
  "http://127.0.0.1:PORT:80/",
  "http://127.0.0.1:0/",
  "http://127.0.0.1:65536/",
  "http://127.0.0.1:-1/",
  "http://127.0.0.1:0xPORT/",
  "http://127.0.0.256:PORT/",
  "http://127.0.0.0.1:PORT/",
  "http://127.0.0.08:PORT/",
  "http://4294967296:PORT/",
  "http://0x100000000:PORT/",
  "http://1.2.3.4.5:PORT/",
  "http://[::1%25lo]:PORT/",
  "http://[::1%lo]:PORT/",
  "http://[fe80::1%25eth0]:PORT/",
  "http://[fe80::1%eth0]:PORT/",
  "http://[::1:PORT/",
  "http://::1:PORT/",
  "http://[127.0.0.1]:PORT/",
  "http://[::ffff:127.0.0.0x1]:PORT/",
  "http://[::ffff:127.1]:PORT/",
  "http://[::1]x:PORT/",
  "http://[[::1]]:PORT/",
  "http://[localhost]:PORT/",
  "http://:PORT/",
  "http://./",
  "http://",
  "//127.0.0.1:PORT/",
  "127.0.0.1:PORT",
  "localhost:PORT/",
  "file://127.0.0.1/etc/passwd",
  "ftp://127.0.0.1:PORT/",
  "gopher://127.0.0.1:PORT/_x",
  "dict://127.0.0.1:PORT/",
  "ws://127.0.0.1:PORT/",
  "unix:/var/run/docker.sock",
  "jar:http://127.0.0.1:PORT/!/",
  "url:http://127.0.0.1:PORT/",
  "blob:http://127.0.0.1:PORT/x",
  "javascript:fetch('http://127.0.0.1:PORT/')",
];

/** Names that this machine's resolver may know or not. If it knows them, they are names of this machine. */
const NAMES_HERE: readonly string[] = [
  "http://a.localhost:PORT/",
  "http://a.b.localhost.:PORT/",
  "http://localhost.localdomain:PORT/",
  "http://localhost6:PORT/",
  "http://ip6-localhost:PORT/",
  "http://ip6-loopback:PORT/",
  "http://127.0.0.1..:PORT/",
  "http://localhost..:PORT/",
  "http://127.0.0.1.localhost:PORT/",
  "http://-localhost:PORT/",
];

const withPort = (url: string, port = guarded.port): string => url.replaceAll("PORT", String(port));
const secure = (url: string): string => url.replace(/^(\s*)http:/, "$1https:");

/** The end of a call: the code of the failure, or "reached". */
async function ending(handler: ReturnType<HttpMaker>): Promise<string> {
  const outcome = await runOnce(handler);
  if (outcome.kind === "failed") return `${outcome.error.code}${outcome.retryable ? ", tried again" : ""}`;
  return outcome.kind === "done" ? "reached" : outcome.kind;
}

const REFUSED = "address_refused";

/** Runs the calls, and returns those with another end than the expected ones. */
async function endingsBut(expected: readonly string[], urls: readonly string[], make: HttpMaker = http) {
  const others: [string, string][] = [];
  for (const url of urls) {
    const end = await ending(make(url, { connectTimeout: "2s" }));
    if (!expected.includes(end)) others.push([url, end]);
  }
  return others;
}

async function expectNoConnection(): Promise<void> {
  expect(await guarded.reached()).toEqual([]);
}

describe("a private address", () => {
  test("is written in more than a hundred and twenty different ways", () => {
    const all = [...HERE, ...ELSEWHERE, ...NO_URL, ...NAMES_HERE];
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBeGreaterThan(120);
  });

  test("is never connected to, in any notation", async () => {
    const urls = [...HERE, ...ELSEWHERE].map((url) => withPort(url));
    expect(await endingsBut([REFUSED], urls)).toEqual([]);
    expect(await endingsBut([REFUSED], urls.map(secure))).toEqual([]);
    await expectNoConnection();
  });

  test("is never connected to in an invalid URL", async () => {
    for (const url of NO_URL.flatMap((one) => [withPort(one), secure(withPort(one))])) {
      expect([url, thrownBy(() => http(url, { allowPrivate: true }))]).toEqual([url, "TypeError"]);
    }
    await expectNoConnection();
  });

  test("is never connected to under a name of the machine's own resolver", async () => {
    const urls = NAMES_HERE.map((url) => withPort(url));
    const unknown = ["network_error, tried again", "http_timeout, tried again"];
    expect(await endingsBut([REFUSED, ...unknown], urls)).toEqual([]);
    await expectNoConnection();
  });

  test("is never connected to if it is an address of this machine in its network", async () => {
    const own = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
    const urls = own
      .filter(({ address, scopeid }) => !isPublicAddress(address) && !scopeid)
      .map(({ address, family }) => (family === "IPv6" ? `[${address}]` : address))
      .map((host) => `http://${host}:${guarded.port}/`);
    expect(urls).not.toEqual([]);
    expect(await endingsBut([REFUSED], urls)).toEqual([]);
    await expectNoConnection();
    expect(await reachedBy(urls)).toEqual(urls);
  });

  test("is reached in each of these ways without the guard", async () => {
    const urls = HERE.map((url) => withPort(url));
    expect(await reachedBy(urls)).toEqual(urls);
  });

  test("is reached by TLS as well without the guard", async () => {
    const urls = HERE.map((url) => secure(withPort(url)));
    expect(await reachedBy(urls)).toEqual(urls);
  });
});

function thrownBy(make: () => unknown): string {
  try {
    make();
    return "nothing";
  } catch (error) {
    return error instanceof Error ? error.name : "no error";
  }
}

/** The URLs whose calls reach the listener when every address is allowed. */
async function reachedBy(urls: readonly string[], lookup: Lookup = systemLookup): Promise<string[]> {
  const make = createHttp({ ...httpWorld, lookup, allowPrivate: true });
  const reached: string[] = [];
  for (const url of urls) {
    await ending(make(url, { connectTimeout: "2s" }));
    if ((await guarded.reached()).length > 0) reached.push(url);
  }
  return reached;
}

/** A resolver that gives these answers, one after another. */
const answering = (...answers: readonly (readonly string[])[]) => {
  const asked: string[] = [];
  const lookup: Lookup = async (host) => {
    asked.push(host);
    return answers[Math.min(asked.length, answers.length) - 1] ?? [];
  };
  return { asked, lookup };
};

const PUBLIC = ["1.1.1.1", "2606:4700:4700::1111"];

/** Answers with addresses of this machine only. */
const ANSWERS_HERE: readonly (readonly string[])[] = [
  ["127.0.0.1"],
  ["127.8.9.10"],
  ["::1"],
  ["0.0.0.0"],
  ["::"],
  ["::ffff:127.0.0.1"],
  ["127.0.0.1", "127.0.0.2"],
  ["::1", "127.0.0.1"],
];

const ANSWERS_ELSEWHERE: readonly (readonly string[])[] = [
  ...ANSWERS_HERE.flatMap((answer) => [
    [...PUBLIC, ...answer],
    [...answer, ...PUBLIC],
    ["1.1.1.1", ...answer, "8.8.8.8"],
  ]),
  ["10.0.0.1"],
  ["172.16.0.1"],
  ["192.168.1.1"],
  ["169.254.169.254"],
  ["100.64.0.1"],
  ["fd00:ec2::254"],
  ["fe80::1"],
  ["fe80::1%lo"],
  ["::1%lo"],
  ["64:ff9b::7f00:1"],
  ["2002:7f00:1::"],
  ["2001:0:7f00:1::"],
  ["::127.0.0.1"],
  ["224.0.0.1"],
  ["255.255.255.255"],
  // answers that no correct resolver gives
  ["127.1"],
  ["0x7f.0.0.1"],
  ["0177.0.0.1"],
  ["2130706433"],
  ["[::1]"],
  [" 127.0.0.1"],
  ["127.0.0.1 "],
  ["127.0.0.1\u0000"],
  ["localhost"],
  ["/var/run/docker.sock"],
  [""],
];

describe("a name", () => {
  const url = (): string => withPort("http://rebinding.example:PORT/");

  for (const answer of [...ANSWERS_HERE, ...ANSWERS_ELSEWHERE]) {
    test(`that has the addresses ${JSON.stringify(answer)} is refused, and none is connected to`, async () => {
      const make = createHttp({ ...httpWorld, lookup: answering(answer).lookup });
      expect(await ending(make(url()))).toBe(REFUSED);
      expect(await ending(make(secure(url())))).toBe(REFUSED);
      await expectNoConnection();
    });
  }

  test("reaches this machine without the guard", async () => {
    for (const answer of ANSWERS_HERE) {
      expect([answer, await reachedBy([url()], answering(answer).lookup)]).toEqual([answer, [url()]]);
    }
  });

  test("that changes its address after its resolution is called at the address that was checked", async () => {
    const { lookup, asked } = answering(["127.0.0.1"], ["::1"]);
    const handler = createHttp({ ...httpWorld, lookup, allowPrivate: ["127.0.0.1"] })(url());
    expect(await ending(handler)).toBe("reached");
    expect(await guarded.reached()).toEqual(["127.0.0.1"]);
    expect(asked).toEqual(["rebinding.example"]); // once: the name is not resolved again before the connection
    expect(await ending(handler)).toBe(REFUSED); // the next attempt resolves and checks again
    expect(asked).toHaveLength(2);
    await expectNoConnection();
  });

  test("is not resolved if the URL has an address", async () => {
    const { lookup, asked } = answering(["127.0.0.1"]);
    expect(await ending(createHttp({ ...httpWorld, lookup })(withPort("http://127.1:PORT/")))).toBe(REFUSED);
    expect(asked).toEqual([]);
  });
});

describe("a redirect", () => {
  // Every address is allowed here, so the guard is not the reason that a redirect is not followed.
  const anywhere = createHttp({ ...httpWorld, allowPrivate: true });

  /** The end of a call to a server that gives this answer. Expects that the call makes one connection. */
  async function endingAt(answer: string): Promise<string> {
    const server = await listen("127.0.0.1", answer);
    const end = await ending(anywhere(`http://127.0.0.1:${server.port}/`));
    expect(await server.reached()).toEqual(["127.0.0.1"]);
    server.close();
    return end;
  }

  const STATUSES = ["301", "302", "303", "307", "308", "300"];

  test("is never followed, wherever it leads", async () => {
    const places = [...HERE, ...ELSEWHERE, ...NAMES_HERE, ...NO_URL, "//localhost:PORT/", "/again", "?again"]
      .map((url) => withPort(url))
      .filter((url) => !/[\0\r\n]/.test(url)); // a header cannot hold these
    for (const [at, place] of places.entries()) {
      const status = STATUSES[at % STATUSES.length] ?? "302";
      const answer = `HTTP/1.1 ${status} Go\r\nlocation: ${place}\r\ncontent-length: 0\r\n\r\n`;
      expect([place, await endingAt(answer)]).toEqual([place, `http_${status}`]);
    }
    await expectNoConnection();
  });

  test("is not followed in any other form", async () => {
    const to = withPort("http://127.0.0.1:PORT/");
    const forms = [
      `200 OK\r\nrefresh: 0; url=${to}`,
      `200 OK\r\nalt-svc: http/1.1="127.0.0.1:${guarded.port}"`,
      `201 Created\r\nlocation: ${to}`,
      `305 Use Proxy\r\nlocation: ${to}`,
      `401 No\r\nwww-authenticate: Basic realm="x"\r\nlocation: ${to}`,
      `407 No\r\nproxy-authenticate: Basic\r\nlocation: ${to}`,
      `421 Misdirected\r\nlocation: ${to}`,
      `103 Early Hints\r\nlink: <${to}>; rel=preconnect\r\n\r\nHTTP/1.1 200 OK`,
    ];
    for (const form of forms) await endingAt(`HTTP/1.1 ${form}\r\ncontent-length: 0\r\n\r\n`);
    await expectNoConnection();
  });
});

describe("allowed addresses", () => {
  const cases: readonly (readonly [allowed: boolean | readonly string[], host: string, end: string])[] = [
    [["127.0.0.0/8"], "127.0.0.1", "reached"],
    [["127.0.0.1"], "127.0.0.1", "reached"],
    [["::1"], "[::1]", "reached"],
    [["10.0.0.0/8", "127.0.0.0/30"], "127.0.0.3", "reached"],
    [true, "127.0.0.1", "reached"],
    [["127.0.0.1"], "127.0.0.2", REFUSED],
    [["127.0.0.1"], "[::1]", REFUSED],
    [["127.0.0.1"], "[::ffff:127.0.0.1]", REFUSED],
    [["127.0.0.0/30"], "127.0.0.4", REFUSED],
    [["::1"], "127.0.0.1", REFUSED],
    [[], "127.0.0.1", REFUSED],
    [false, "127.0.0.1", REFUSED],
    [["0.0.0.0"], "0.0.0.0", REFUSED], // the connection to 0.0.0.0 is answered by 127.0.0.1, which is not allowed
  ];
  for (const [allowPrivate, host, end] of cases) {
    test(`${JSON.stringify(allowPrivate)} and ${host}: ${end}, allowed for all handlers or for one`, async () => {
      const url = `http://${host}:${guarded.port}/`;
      expect(await ending(http(url, { allowPrivate }))).toBe(end);
      expect(await ending(createHttp({ ...httpWorld, allowPrivate })(url))).toBe(end);
      await guarded.reached();
    });
  }

  test("stops when another address than the chosen one answers", async () => {
    const { lookup } = answering(["0.0.0.0", "127.0.0.1"]);
    const allowPrivate = ["0.0.0.0", "127.0.0.1"];
    expect(
      await ending(createHttp({ ...httpWorld, lookup, allowPrivate })(withPort("http://a.example:PORT/"))),
    ).toBe(REFUSED);
    await guarded.reached();
  });

  test("to one handler is not allowed to another", async () => {
    const url = withPort("http://127.0.0.1:PORT/");
    const make = createHttp(httpWorld);
    expect(await ending(make(url, { allowPrivate: true }))).toBe("reached");
    expect(await ending(make(url))).toBe(REFUSED);
    await guarded.reached();
  });

  test("a refusal names the address and its kind", async () => {
    const { lookup } = answering(["1.1.1.1", "10.1.2.3"]);
    expect(await runOnce(createHttp({ ...httpWorld, lookup })("http://billing.example/hook"))).toEqual({
      kind: "failed",
      error: {
        code: "address_refused",
        message:
          "billing.example has the address 10.1.2.3, which is not on the open internet (private, 10.0.0.0/8)",
      },
      retryable: false,
      retryAfterMs: null,
    });
  });
});
