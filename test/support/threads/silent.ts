/** Takes the place of a store's thread, and answers no call, like a disk that hangs. */
self.onmessage = () => undefined;
