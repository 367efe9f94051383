import type { Engine } from "../../src/engine/engine.ts";
import { createHttp, type HttpSetup } from "../../src/http/http.ts";
import { createLog } from "../../src/lib/log.ts";
import { systemClock } from "../../src/lib/system-clock.ts";

export interface HttpServer {
  readonly url: string;
  /** The lines of the log. */
  readonly lines: readonly string[];
  close(): Promise<void>;
}

/** Only the HTTP server, on a free port of 127.0.0.1, with an engine of the test. */
export function openHttpServer(engine: Engine, setup: Partial<HttpSetup> = {}): HttpServer {
  const lines: string[] = [];
  const http = createHttp({
    engine,
    hasApi: true,
    leaseMs: 30_000,
    hostname: "127.0.0.1",
    port: 0,
    sharesPort: false,
    allowedHosts: [],
    version: "0.0.0",
    clock: systemClock,
    log: createLog({ level: "debug", pretty: false, now: Date.now, write: (line) => lines.push(line) }),
    notReadyBecause: async () => null,
    durability: "",
    broker: null,
    requestId: () => "1",
    uiFiles: async () => new Map(),
    ...setup,
  });
  const { hostname, port } = http.start();
  return { url: `http://${hostname}:${port}`, lines, close: () => http.stop(0) };
}
