/** A wire to a server that can be held: what was sent meanwhile is not lost, it only comes late. */
import { connect, createServer, type Socket } from "node:net";

export interface Wire {
  readonly port: number;
  /** From now on nothing comes through, in either direction. */
  hold(): void;
  /** Everything that was held comes through, in its order. */
  release(): void;
  /** New connections go to this port; those that are open stay with the server that they have. */
  turnTo(targetPort: number): void;
  /** Cuts the connections that are open. */
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
