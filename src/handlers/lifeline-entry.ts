/** The thread of a process that runs handlers; see lifeline.ts. It is told where the open groups stand, and then waits. */
import { endAll, waitForTheEnd } from "./lifeline.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<SharedArrayBuffer>) => {
  waitForTheEnd();
  endAll(data);
};
