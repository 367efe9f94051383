/** The directive in answers to workers: continue, or claim no more tasks. */
import { z } from "zod";
import type { Workers } from "../engine/workers.ts";

export const Directive = z.enum(["run", "drain", "stop"]).meta({
  id: "Directive",
  description: "`run`: continue; `drain`: finish the tasks and claim no more; `stop` is reserved",
});

export const directiveFor = async (
  engine: Pick<Workers, "isDraining">,
  worker: string,
): Promise<"run" | "drain"> => ((await engine.isDraining(worker)) ? "drain" : "run");
