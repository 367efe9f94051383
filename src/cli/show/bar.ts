/** `[####----]` of this width with its brackets; empty if there is no room. */
export function bar(share: number, width: number): string {
  const room = width - 2;
  if (room < 3) return "";
  const filled = Math.min(room, Math.max(0, Math.floor(room * share)));
  return `[${"#".repeat(filled)}${"-".repeat(room - filled)}]`;
}
