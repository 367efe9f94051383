import { checkAccess } from "./access.ts";
import { createHostCheck, type HostSetup } from "./host.ts";
import { checkLengths } from "./lengths.ts";
import { createOriginCheck } from "./origin.ts";
import type { Stage } from "./stage.ts";

/** What every request passes, in this order, before its route runs. */
export const createStages = (setup: HostSetup): readonly Stage[] => [
  checkLengths,
  createHostCheck(setup),
  createOriginCheck(setup),
  checkAccess,
];
