/** The probes: whether the process answers, and whether it should get traffic. */
import { z } from "zod";
import { BROKER_STATES, type BrokerHealth } from "../../core/broker.ts";
import { refuse } from "../../wire/problem.ts";
import type { Route } from "../route.ts";

const AliveAnswer = z
  .object({ status: z.string().meta({ description: "`alive`", examples: ["alive"] }) })
  .meta({ id: "Alive", description: "The process answers" });
export const ReadyAnswer = z
  .object({
    status: z.string().meta({ description: "`ready`", examples: ["ready"] }),
    store: z.string().meta({ description: "The store, and what a crash may lose" }),
    broker: z
      .object({
        name: z.string().meta({ description: "The broker", examples: ["RabbitMQ"] }),
        state: z.enum(BROKER_STATES).meta({
          id: "BrokerState",
          description:
            "`away`: it does not answer; `blocked`: it accepts no messages because it is short of memory or disk; `no_submissions`: it answers, but the server cannot read the submissions, and its log has the reason",
        }),
      })
      .meta({ id: "Broker", description: "The broker of QUEUE_URL" })
      .optional()
      .meta({
        description:
          "Only with QUEUE_URL. In every state of the broker the server works and should get traffic",
      }),
  })
  .meta({ id: "Ready", description: "The process should get traffic" });

export type HealthSetup = {
  /** The reason, in a sentence, while the server should get no traffic; else null. */
  readonly notReadyBecause: () => Promise<string | null>;
  /** A sentence about the store of the tasks, and about the tasks that a crash may lose. */
  readonly durability: string;
  /** The state of the broker; null if there is no broker. */
  readonly broker: (() => Promise<BrokerHealth>) | null;
};

export function createHealthRoutes({ notReadyBecause, durability, broker }: HealthSetup) {
  const livez: Route = {
    id: "livez",
    summary: "Whether the process answers",
    access: "open",
    answers: { 200: { description: "It answers", schema: AliveAnswer } },
    problems: [],
    run: ({ reply }) => reply(200, '{"status":"alive"}'),
  };

  const readyz: Route = {
    id: "readyz",
    summary: "Whether the process should get traffic",
    access: "open",
    answers: { 200: { description: "It should get traffic", schema: ReadyAnswer } },
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
