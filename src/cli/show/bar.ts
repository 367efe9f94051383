/** `[####----]`, so wide with its brackets, or nothing where that is too narrow to say anything. */
export function bar(share: number, width: number): string {
  const room = width - 2;
  if (room < 3) return "";
  const filled = Math.min(room, Math.max(0, Math.floor(room * share)));
  return `[${"#".repeat(filled)}${"-".repeat(room - filled)}]`;
}
