/** What this browser remembers of its reader. A browser that keeps nothing for pages is no fault: then it is forgotten. */
const PREFIX = "tasktrack.";

export function readSetting(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

export function writeSetting(name: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    return; // as above
  }
}
