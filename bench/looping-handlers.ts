/** A handler that never gives its event loop back. */
export default {
  loops: async (): Promise<never> => {
    for (;;);
  },
};
