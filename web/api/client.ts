/** The SDK's client of the server that this page came from. */
import { type Client, createClient } from "../../src/client/client.ts";
import { watchedFetch } from "./connection.ts";

/** A reader who waits wants to know soon; the queries try again by themselves. */
const RETRIES = 1;

export const client: Client = createClient(location.origin, { fetch: watchedFetch, retries: RETRIES });
