/** Memory over two million tasks that are each created and deleted again. */
import { rssBytes, sampleRss } from "./machine.ts";
import { figure, median, megabytes, printTable, spread, type Verdict } from "./report.ts";
import { load, startTasktrack, stop } from "./servers.ts";

const QUARTERS = ["first quarter", "second quarter", "third quarter", "last quarter"];

export const churn = async (quick: boolean): Promise<Verdict[]> => {
  const pairs = quick ? 100_000 : 2_000_000;
  const server = await startTasktrack();
  const atStart = rssBytes(server.pid);
  const sampling = sampleRss(server.pid, quick ? 50 : 250);
  const loaded = await load(server, { kind: "churn", requests: pairs });
  const readings = sampling.stop().map(({ bytes }) => bytes);
  await stop(server);
  const quarters = QUARTERS.map((_, quarter) =>
    readings.slice((readings.length * quarter) / 4, (readings.length * (quarter + 1)) / 4),
  );
  const medians = quarters.map(median);
  printTable([
    ["resident memory, MB", "median", "lowest to highest"],
    ["at the start", figure(atStart / 1e6), ""],
    ...QUARTERS.map((name, quarter) => [
      name,
      figure((medians[quarter] ?? Number.NaN) / 1e6),
      spread((quarters[quarter] ?? []).map((bytes) => bytes / 1e6)),
    ]),
  ]);
  console.log(
    `  ${figure(pairs)} creates and as many deletes at ${figure(loaded.perSecond)} pairs/s, ${readings.length} readings, at most ${megabytes(Math.max(...readings))}`,
  );
  const drift = (medians[3] ?? Number.NaN) / (medians[1] ?? Number.NaN);
  return [
    {
      what: "memory of the last quarter / of the second",
      measured: drift,
      target: 1.05,
      want: "at most",
      unit: "",
    },
  ];
};
