/** Replaces the thread of a store, and ends at the first call. */
self.onmessage = () => {
  throw new Error("the test ended this thread");
};
