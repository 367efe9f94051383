import { checkAccess } from "./access.ts";
import { createHostCheck, type HostSetup } from "./host.ts";
import { checkLengths } from "./lengths.ts";
import { createOriginCheck } from "./origin.ts";
import type { Stage } from "./stage.ts";

/** The stages of each request, in their order. */
export const createStages = (setup: HostSetup): readonly Stage[] => [
  checkLengths,
  createHostCheck(setup),
  createOriginCheck(setup),
  checkAccess,
];
