/** The session of `npm run servers`, as a test: a server with SESSION_STORE_URL, and with SESSION_QUEUE_URL if it is set. */
import { test } from "bun:test";
import { liveSession } from "../../test/support/live-session.ts";

const { SESSION_STORE_URL = "", SESSION_QUEUE_URL } = process.env;

test("a whole session", async () => {
  const broker = SESSION_QUEUE_URL === undefined ? {} : { QUEUE_URL: SESSION_QUEUE_URL };
  console.log(`store: ${await liveSession({ STORE_URL: SESSION_STORE_URL, ...broker })}`);
}, 300_000);
