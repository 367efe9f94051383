import { z } from "zod";
import { refuse } from "./errors.ts";
import type { Route } from "./route.ts";

const HealthAnswer = z.object({ status: z.enum(["alive", "ready"]) });

/** Probes. `notReadyBecause` gives a sentence while the server should get no traffic, else null. */
export function createHealthRoutes(notReadyBecause: () => Promise<string | null>) {
  const livez: Route = {
    id: "livez",
    summary: "Whether the process answers at all",
    answers: { 200: { description: "It does", schema: HealthAnswer } },
    problems: [],
    run: ({ reply }) => reply(200, '{"status":"alive"}'),
  };

  const readyz: Route = {
    id: "readyz",
    summary: "Whether the process should get traffic",
    answers: { 200: { description: "It should", schema: HealthAnswer } },
    problems: ["not_ready"],
    run: async ({ reply }) => {
      const reason = await notReadyBecause();
      if (reason !== null) throw refuse("not_ready", reason);
      return reply(200, '{"status":"ready"}');
    },
  };

  return { livez, readyz };
}
