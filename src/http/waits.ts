/** How long clients may ask the server to wait, and how long it waits. */
export const ASKED_WAIT_MS = 60_000;

/**
 * A wait ends after this time, even if the client asked for more: a proxy that receives no answer for longer
 * ends the request, and the client gets a 504 although its task was created. HAProxy in Debian's
 * configuration does so after 50 s, nginx and Varnish after 60 s.
 */
export const LONGEST_WAIT_MS = 45_000;
