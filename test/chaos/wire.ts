/** A TCP proxy that can delay the data without losing it. */
import { connect, createServer, type Socket } from "node:net";

export interface Wire {
  readonly port: number;
  /** From now on nothing is forwarded, in either direction. */
  hold(): void;
  /** Forwards everything that was held, in order. */
  release(): void;
  /** New connections go to this port; open ones are not changed. */
  turnTo(targetPort: number): void;
  /** Cuts the open connections. */
  cut(): void;
  close(): void;
}

export function createWire(targetPort: number): Promise<Wire> {
  const sockets = new Set<Socket>();
  let isHeld = false;
  let target = targetPort;

  function join(from: Socket, to: Socket): void {
    sockets.add(from);
    from.on("data", (bytes) => void to.write(bytes));
    from.on("end", () => to.end());
    from.on("error", () => to.destroy());
    from.on("close", () => sockets.delete(from));
    if (isHeld) from.pause();
  }

  function cut(): void {
    for (const socket of sockets) socket.destroy();
  }

  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true });
    join(client, upstream);
    join(upstream, client);
  });

  const wire = (port: number): Wire => ({
    port,
    hold: () => {
      isHeld = true;
      for (const socket of sockets) socket.pause();
    },
    release: () => {
      isHeld = false;
      for (const socket of sockets) socket.resume();
    },
    turnTo: (next) => {
      target = next;
    },
    cut,
    close: () => {
      server.close();
      cut();
    },
  });

  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(wire(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
