/** The compose file, as far as it can be tested without Docker. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { readConfig } from "../src/config.ts";

const text = await Bun.file(join(import.meta.dir, "../compose.yaml")).text();

type Service = {
  readonly profiles?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly stop_grace_period?: string;
  readonly depends_on?: Readonly<Record<string, unknown>>;
};
const { services } = Bun.YAML.parse(text) as { readonly services: Readonly<Record<string, Service>> }; // the file has this form

/** The commands in the comment at its beginning, which users copy. */
const commands = [...text.matchAll(/^# {3}(.*docker compose.* up)$/gm)].map(([, command = ""]) => command);

const settingsOf = (command: string): Record<string, string> =>
  Object.fromEntries(
    [...command.matchAll(/\b(STORE_URL|QUEUE_URL)=(\S+)/g)].map(([, name, url]) => [name, url]),
  );

test("it has a command for each combination of a store's server and a broker", () => {
  expect(commands).toHaveLength(9);
  expect(new Set(commands).size).toBe(9);
});

test.each(commands)("%s: the settings are valid, and each server that they name is started", (command) => {
  const config = readConfig({ env: settingsOf(command) });
  const profiles = [...command.matchAll(/--profile (\w+)/g)].map(([, profile]) => profile);
  const hosts = [config.storeUrl, config.queueUrl]
    .map((url) => /:\/\/(?:[^@]*@)?(\w+)/.exec(url)?.[1])
    .filter((host) => host !== undefined);
  expect(profiles).toEqual(hosts);
  for (const host of hosts) expect(services[host]?.profiles).toEqual([host]);
});

test.each(["tasktrack", "worker"])(
  "%s has more time to stop than its shutdown takes, and waits for its servers",
  (name) => {
    const service = services[name];
    expect(service?.stop_grace_period).toBe("35s");
    expect(readConfig({ env: {} }).shutdownGraceMs).toBeLessThan(30_000);
    expect(Object.keys(service?.depends_on ?? {}).sort()).toEqual(["kafka", "postgres", "rabbitmq", "redis"]);
  },
);

test("the worker has ROLE=worker and the shared store", () => {
  const env = settingsOf("STORE_URL=redis://redis");
  expect(services.worker?.environment).toMatchObject({ ROLE: "worker" });
  expect(readConfig({ env: { ...env, ROLE: "worker" } }).role).toBe("worker");
});
