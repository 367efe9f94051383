import { connect, createServer, type Socket } from "node:net";

/** A TCP proxy to a server on 127.0.0.1 that counts its connections. */
export interface Gate {
  readonly port: number;
  readonly passed: () => number;
  /** The number of bytes from the server. */
  readonly received: () => number;
  close(): void;
}

/**
 * With `keepsRequests`, the connection to the server stays open after the client has closed its connection, until the server has
 * answered. HAProxy, Apache httpd and Varnish do this by default. The server does not learn that the client has disconnected.
 */
export async function openGate(
  to: number,
  { keepsRequests = false }: { readonly keepsRequests?: boolean } = {},
): Promise<Gate> {
  let passed = 0;
  let received = 0;
  const open = new Set<Socket>();
  const server = createServer((from) => {
    passed++;
    const onward = connect(to, "127.0.0.1");
    onward.on("data", ({ length }) => {
      received += length;
    });
    for (const [one, other] of [
      [from, onward],
      [onward, from],
    ] as const) {
      open.add(one);
      const isKept = keepsRequests && one === from;
      one.pipe(other, { end: !isKept });
      one.on("error", () => isKept || other.destroy()); // an error of one connection ends both
      one.on("close", () => open.delete(one));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    passed: () => passed,
    received: () => received,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
