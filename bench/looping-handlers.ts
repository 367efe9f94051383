/** A handler that blocks its event loop without end. */
export default {
  loops: async (): Promise<never> => {
    for (;;);
  },
};
