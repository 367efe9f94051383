/** What clients may ask the server to wait, and how long it does. */
export const ASKED_WAIT_MS = 60_000;

/**
 * A wait is over after this time, whatever more was asked for: a proxy that hears nothing for longer ends the request, and a client is told 504
 * of a task that was created. HAProxy as Debian sets it up ends it after 50 s; nginx and Varnish after 60 s.
 */
export const LONGEST_WAIT_MS = 45_000;
