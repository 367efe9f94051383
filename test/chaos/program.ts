/** A small test program in a process of its own. Its argument is JSON, and it reports its actions as lines of JSON. */
import { join } from "node:path";
import type { TaskStore } from "../../src/store/store.ts";
import { withStore } from "./history.ts";

/** The orders of every such program. */
export type Orders = { readonly storeUrl: string; readonly seed: number };

/**
 * Runs several processes of a program in this folder. They begin at the same time, when the last one is ready. Resolves with their
 * lines when all have ended without an error.
 */
export async function runPrograms<Line>(name: string, orders: readonly Orders[]): Promise<Line[]> {
  const children = orders.map((order) =>
    Bun.spawn([process.execPath, "--no-env-file", join(import.meta.dir, name), JSON.stringify(order)], {
      stdio: ["pipe", "pipe", "inherit"],
    }),
  );
  try {
    const outputs = children.map(({ stdout }) => readLines(stdout));
    await Promise.all(outputs.map((lines) => lines.next())); // each reports that it is ready
    for (const { stdin } of children) stdin.end();
    const printed = await Promise.all(outputs.map((lines) => Array.fromAsync(lines)));
    const codes = await Promise.all(children.map(({ exited }) => exited));
    if (codes.some((code) => code !== 0)) throw new Error(`${name} ended with ${codes.join()}`);
    return printed.flat() as Line[]; // the lines of the program of this name
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
}

async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line);
  }
}

/** The program's side: opens the store, waits for the start and does its work. */
export async function main<O extends Orders>(
  work: (store: TaskStore, orders: O, say: (line: object) => void) => Promise<unknown>,
): Promise<void> {
  const orders = JSON.parse(process.argv[2] ?? "") as O; // as runPrograms passes them
  const lines: string[] = [];
  await withStore(orders.storeUrl, async (store) => {
    process.stdout.write('"ready"\n');
    await Bun.stdin.text(); // stdin ends when the process may start
    await work(store, orders, (line) => void lines.push(JSON.stringify(line)));
  });
  await Bun.write(Bun.stdout, lines.map((line) => `${line}\n`).join(""));
}
