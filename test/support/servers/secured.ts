/** Who is let in by the listeners of the shared brokers that ask who comes. */
import type { Account } from "./kafka.ts";
import type { Tenant } from "./rabbitmq.ts";

/** Every character that a URL might take for something else; what Kafka's settings might, is left out. */
const SECRET = "p@s/s:w%r?d#+ &=";
export const TENANT: Tenant = { user: "task@track", password: `${SECRET}",ü`, vhost: "/prod" };
export const ACCOUNT: Account = { user: "tasktrack", password: SECRET };
