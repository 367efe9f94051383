/** Replaces the thread of a store, and answers no call, as if the disk did not respond. */
self.onmessage = () => undefined;
