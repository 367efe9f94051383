/** Stands where a store's thread should: it dies of the first thing that it is asked. */
self.onmessage = () => {
  throw new Error("of a broken heart");
};
