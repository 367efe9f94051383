import { z } from "zod";
import { BROKER_STATES, type BrokerHealth } from "../../core/broker.ts";
import { refuse } from "../../wire/problem.ts";
import type { Route } from "../route.ts";

const AliveAnswer = z
  .object({ status: z.string().meta({ description: "`alive`", examples: ["alive"] }) })
  .meta({ id: "Alive", description: "The process answers" });
const ReadyAnswer = z
  .object({
    status: z.string().meta({ description: "`ready`", examples: ["ready"] }),
    store: z.string().meta({ description: "What keeps the tasks, and what of them a crash may lose" }),
    broker: z
      .object({
        name: z.string().meta({ description: "The broker", examples: ["RabbitMQ"] }),
        state: z.enum(BROKER_STATES).meta({
          id: "BrokerState",
          description:
            "`away`: it does not answer; `blocked`: it takes nothing, for want of memory or disk; `no_submissions`: it answers, but submissions are not taken, and the log says why",
        }),
      })
      .meta({ id: "Broker", description: "The broker of QUEUE_URL" })
      .optional()
      .meta({
        description:
          "Only with QUEUE_URL. A server whose broker is in another state than `up` works on, and should get traffic",
      }),
  })
  .meta({ id: "Ready", description: "The process should get traffic" });

export type HealthSetup = {
  /** A sentence while the server should get no traffic, else null. */
  readonly notReadyBecause: () => Promise<string | null>;
  /** What keeps the tasks, in one sentence. */
  readonly durability: string;
  /** How the broker stands; null where there is none. */
  readonly broker: (() => Promise<BrokerHealth>) | null;
};

/** Probes. */
export function createHealthRoutes({ notReadyBecause, durability, broker }: HealthSetup) {
  const livez: Route = {
    id: "livez",
    summary: "Whether the process answers at all",
    access: "open",
    answers: { 200: { description: "It does", schema: AliveAnswer } },
    problems: [],
    run: ({ reply }) => reply(200, '{"status":"alive"}'),
  };

  const readyz: Route = {
    id: "readyz",
    summary: "Whether the process should get traffic",
    access: "open",
    answers: { 200: { description: "It should", schema: ReadyAnswer } },
    problems: ["not_ready"],
    run: async ({ reply }) => {
      const reason = await notReadyBecause();
      if (reason !== null) throw refuse("not_ready", reason);
      const ofBroker = broker === null ? {} : { broker: await broker() };
      return reply(200, JSON.stringify({ status: "ready", store: durability, ...ofBroker }));
    },
  };

  return { livez, readyz };
}
