/** The random numbers of this machine. */
export const systemChance = {
  /** From [0, 1). */
  random: (): number => Math.random(),
  /** A text that is different each time: 128 random bits. Browsers have `randomUUID` only on pages loaded over https. */
  nonce: (): string =>
    Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join(
      "",
    ),
};
