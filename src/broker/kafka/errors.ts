import type { Admin, Consumer, Producer } from "@platformatic/kafka";

/**
 * The client listens to the first error of each connection only. A connection that has failed may emit another error before it is
 * closed (for example, its handshake is refused, and then its socket is reset), and an error event without a listener ends the
 * process. Later errors say nothing new: the request that failed has reported the first one.
 */
export function ignoreLateErrors<C extends Admin | Consumer | Producer>(client: C): C {
  for (const event of ["client:broker:connect", "client:broker:failed"] as const) {
    client.on(event, ({ connection }) => connection.on("error", () => undefined));
  }
  return client;
}

/**
 * A member that could not join its group again emits one of these events, once, and sends no more heartbeats. The group then
 * gives its partitions to other members while this member still reads them. An error event without a listener ends the process.
 */
export function onLostMembership(member: Consumer, lost: (error: Error) => void): void {
  member.on("error", lost);
  member.on("consumer:heartbeat:stalled", () => lost(new Error("Kafka answers no heartbeat")));
}
