import { connect, createServer, type Socket } from "node:net";

/** A way to a server of 127.0.0.1 that counts who comes by it. */
export interface Gate {
  readonly port: number;
  readonly passed: () => number;
  /** Bytes that came from the server. */
  readonly received: () => number;
  close(): void;
}

/**
 * With `keepsRequests` a client that goes away leaves its connection to the server open, as HAProxy, Apache httpd and Varnish do by
 * default while the server has not answered: the server does not learn that nobody waits for its answer.
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
      one.on("error", () => isKept || other.destroy()); // whoever ends it, ends both
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
