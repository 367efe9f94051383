/** Processes with a wrong clock, by Debian's libfaketime. */
import { Glob } from "bun";
import { findOrInstall } from "./servers/runner.ts";

const library = findOrInstall({
  name: "faketime",
  debianPackage: "libfaketime",
  find: () => [...new Glob("/usr/lib/*/faketime/libfaketime.so.1").scanSync("/")][0] ?? null,
});

/** Null, or the reason why no clock can be shifted here. */
export const cannotShift = library === null ? "libfaketime is missing: install it, or run as root" : null;

/** The environment of a process whose clock is ahead by this number of hours, and runs at normal speed. */
export const shiftedBy = (hours: number): Record<string, string> => ({
  LD_PRELOAD: library ?? "",
  FAKETIME: `${hours < 0 ? "" : "+"}${hours}h`,
  FAKETIME_DONT_FAKE_MONOTONIC: "1",
});

/** The environment of a process that reads the offset of its wall clock, in seconds, from this file, which may change while it runs. */
export const shiftedByFile = (file: string): Record<string, string> => ({
  LD_PRELOAD: library ?? "",
  FAKETIME_TIMESTAMP_FILE: file,
  FAKETIME_CACHE_DURATION: "1",
  FAKETIME_DONT_FAKE_MONOTONIC: "1",
});
