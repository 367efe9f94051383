/** User settings in localStorage. If the browser does not allow storage, settings are lost without an error. */
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
    return; // no storage: see above
  }
}
