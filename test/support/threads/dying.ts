/** Takes the place of a store's thread, and ends at the first call. */
self.onmessage = () => {
  throw new Error("of a broken heart");
};
