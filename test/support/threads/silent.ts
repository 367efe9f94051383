/** Stands where a store's thread should: it hears everything and answers nothing, like a disk that hangs. */
self.onmessage = () => undefined;
