/** What a broker gives and takes: tasks in by it and by HTTP, and wake-ups by it and by PostgreSQL alone. */
import { startKafka, startRabbitmq } from "./brokers-servers.ts";
import { measureSubmits, type SubmitsSize } from "./brokers-submits.ts";
import { startPostgres } from "./stores.ts";

type Size = { readonly submits: SubmitsSize };

const FULL: Size = { submits: { rounds: 3, warmUp: 10_000, tasks: 40_000, singles: 500 } };
const QUICK: Size = { submits: { rounds: 1, warmUp: 1_000, tasks: 4_000, singles: 50 } };

export const brokers = async (quick: boolean): Promise<[]> => {
  const size = quick ? QUICK : FULL;
  const store = await startPostgres();
  const both = [await startRabbitmq(), await startKafka()] as const;
  await measureSubmits(store, both, size.submits);
  for (const one of [...both, store]) {
    await one.remove();
  }
  return [];
};
