import type { Admin, Consumer, Producer } from "@platformatic/kafka";

/**
 * Kafka's client listens to the first error of each connection. One that has failed may err again before it is closed (its
 * handshake refused, then its socket reset), and an error that nobody hears ends the process. What it means, the request
 * that fails has told already.
 */
export function withstand<C extends Admin | Consumer | Producer>(client: C): C {
  for (const turn of ["client:broker:connect", "client:broker:failed"] as const) {
    client.on(turn, ({ connection }) => connection.on("error", () => undefined));
  }
  return client;
}
