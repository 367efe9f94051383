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

/**
 * A member that could not join its group again says so by this alone, once, and beats no more: the group gives its partitions to
 * others while it still reads them. Where nobody listens, the word ends the process.
 */
export function onLostMembership(member: Consumer, lost: (error: Error) => void): void {
  member.on("error", lost);
  member.on("consumer:heartbeat:stalled", () => lost(new Error("Kafka answers no heartbeat")));
}
