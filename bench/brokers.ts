/**
 * The gains and costs of a broker: submissions by the broker and by HTTP, and wake-ups by the broker and by PostgreSQL without a
 * broker.
 */
import { startKafka, startRabbitmq } from "./brokers-servers.ts";
import { measureSubmits, type SubmitsSize } from "./brokers-submits.ts";
import { measureWakes, WAKES_SETTINGS, type WakesSize } from "./brokers-wakes.ts";
import { startPostgres } from "./stores.ts";

type Size = { readonly submits: SubmitsSize; readonly wakes: WakesSize };

const FULL: Size = {
  submits: { rounds: 3, warmUp: 10_000, tasks: 40_000, singles: 500 },
  wakes: {
    ...{ rounds: 2, processes: [1, 4, 16], warmUp: 5_000, tasks: 20_000 },
    ...{ idleSeconds: 5, trickleSeconds: 10 },
  },
};
const QUICK: Size = {
  submits: { rounds: 1, warmUp: 1_000, tasks: 4_000, singles: 50 },
  wakes: {
    ...{ rounds: 1, processes: [1, 4], warmUp: 1_000, tasks: 4_000 },
    ...{ idleSeconds: 2, trickleSeconds: 2 },
  },
};

export const brokers = async (quick: boolean): Promise<[]> => {
  const size = quick ? QUICK : FULL;
  const both = [await startRabbitmq(), await startKafka()] as const;
  const plain = await startPostgres();
  await measureSubmits(plain, both, size.submits);
  await plain.remove();
  console.log();
  const counting = await startPostgres(WAKES_SETTINGS);
  await measureWakes(counting, both, size.wakes);
  for (const one of [counting, ...both]) {
    await one.remove();
  }
  return [];
};
