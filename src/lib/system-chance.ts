/** Chance, as this machine gives it. */
export const systemChance = {
  /** From [0, 1). */
  random: (): number => Math.random(),
  /** A text that never comes twice. */
  nonce: (): string => crypto.randomUUID(),
};
