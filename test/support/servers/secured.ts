/** The accounts of the shared brokers' listeners with authentication. */
import type { Account } from "./kafka.ts";
import type { Tenant } from "./rabbitmq.ts";

/** With every character that has a meaning in a URL, except those that have one in Kafka's settings. */
const SECRET = "p@s/s:w%r?d#+ &=";
export const TENANT: Tenant = { user: "task@track", password: `${SECRET}",ü`, vhost: "/prod" };
export const ACCOUNT: Account = { user: "tasktrack", password: SECRET };
