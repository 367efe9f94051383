/** What a worker is told beside its answers: to go on, or to take no more. */
import { z } from "zod";
import type { Workers } from "../engine/workers.ts";

export const Directive = z.enum(["run", "drain", "stop"]).meta({
  id: "Directive",
  description: "`run`: go on; `drain`: finish what you have, you get no more; `stop` is kept for later",
});

export const directiveFor = async (
  engine: Pick<Workers, "isDraining">,
  worker: string,
): Promise<"run" | "drain"> => ((await engine.isDraining(worker)) ? "drain" : "run");
