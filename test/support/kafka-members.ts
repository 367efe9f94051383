import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Consumer } from "@platformatic/kafka";

/** The diagnostics channel on which Kafka's client announces new instances. */
const INSTANCES = "plt:kafka:instances";

/** The group members that are created in this process from now on. */
export function watchMembers() {
  const members: Consumer[] = [];
  const created = (message: unknown): void => {
    if (typeof message !== "object" || message === null || !("instance" in message)) return;
    if (message.instance instanceof Consumer) members.push(message.instance);
  };
  subscribe(INSTANCES, created);
  return { members, close: () => unsubscribe(INSTANCES, created) };
}
