/** Tasks for a board that has none, so that its first minute shows something. */
import type { Client, TaskSpec } from "../../../src/client/client.ts";

const SAMPLES: readonly TaskSpec[] = [
  { name: "Resize the product photos", tags: ["images"], payload: { width: 640, format: "webp" } },
  { name: "Nightly report", tags: ["nightly", "reports"], priority: 10, payload: { region: "north" } },
  { name: "Transcode the launch video", tags: ["video"], payload: { codec: "av1" } },
  { name: "Send the newsletter", tags: ["mail"], delay: "30s", payload: { list: "friends" } },
  { name: "Clean up old exports", tags: ["nightly"], priority: -10, delay: "2m" },
];

export const addSamples = (client: Client): Promise<readonly number[]> =>
  client.createMany(SAMPLES.map((sample) => ({ type: "simulate", ...sample })));
