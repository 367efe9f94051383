/** The thread of a process that runs handlers; see lifeline.ts. It gets the memory with the open groups, and then waits. */
import { endAll, waitForTheEnd } from "./lifeline.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<SharedArrayBuffer>) => {
  waitForTheEnd();
  endAll(data);
};
