import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Consumer } from "@platformatic/kafka";

/** Where Kafka's client tells of what it makes. */
const INSTANCES = "plt:kafka:instances";

/** The members of groups that come into being in this process from now on. */
export function watchMembers() {
  const members: Consumer[] = [];
  const created = (message: unknown): void => {
    if (typeof message !== "object" || message === null || !("instance" in message)) return;
    if (message.instance instanceof Consumer) members.push(message.instance);
  };
  subscribe(INSTANCES, created);
  return { members, close: () => unsubscribe(INSTANCES, created) };
}
