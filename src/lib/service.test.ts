import { expect, test } from "bun:test";
import { type Service, startServices, stopServices } from "./service.ts";

/** Services that list the calls that they get. */
function open(...names: readonly string[]) {
  const done: string[] = [];
  const services = names.map(
    (name): Service => ({
      name,
      start: async () => void done.push(`start ${name}`),
      drain: () => void done.push(`drain ${name}`),
      stop: async (withinMs) => void done.push(`stop ${name} within ${withinMs}`),
    }),
  );
  return { done, services };
}

test("services start in order, and are drained and stopped in reverse", async () => {
  const { done, services } = open("store", "http");
  await startServices(services);
  await stopServices(services, 2_000);
  expect(done).toEqual([
    "start store",
    "start http",
    "drain http",
    "drain store",
    "stop http within 2000",
    "stop store within 2000",
  ]);
});

test("a service that cannot start ends the start", async () => {
  const { done, services } = open("store", "http", "processor");
  const broken = services.map((service) =>
    service.name === "http" ? { ...service, start: () => Promise.reject(new Error("port in use")) } : service,
  );
  expect(await startServices(broken).catch((error) => error.message)).toBe("port in use");
  expect(done).toEqual(["start store"]);
});
