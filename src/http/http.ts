/** The HTTP server: listens on a port and answers by the routes. */
import nodeHttp from "node:http";
import { errorText } from "../lib/log.ts";
import { createAnswering } from "./answer.ts";
import { createRouteTable, type RoutesSetup } from "./route-table.ts";
import { createRuntimeRoutes } from "./runtime-routes.ts";
import type { HostSetup } from "./stages/host.ts";
import { createStages } from "./stages/stages.ts";

export interface HttpServer {
  /** Listens, and returns the address. Throws if the address cannot be used. */
  start(): { readonly hostname: string; readonly port: number };
  /**
   * From now on each answer closes its connection, so that clients connect to another server. Requests are
   * still served.
   */
  drain(): void;
  /**
   * Stops listening, ends the event streams and the claims that wait, and waits up to `withinMs` for the
   * requests under way.
   */
  stop(withinMs: number): Promise<void>;
}

export type HttpSetup = RoutesSetup &
  Pick<HostSetup, "allowedHosts"> & {
    readonly hostname: string;
    readonly port: number;
    /** Whether other processes of the same server listen there too. */
    readonly sharesPort: boolean;
    /** Makes the id of a request without an X-Request-Id. */
    readonly requestId: () => string;
  };

/** Larger than the limits of the routes and stages, so that these refuse, with a message. */
const RUNTIME_HEADER_BYTES = 64 * 1_024;
const RUNTIME_BODY_BYTES = Number.MAX_SAFE_INTEGER;
/**
 * How long a keep-alive connection may be idle; Bun's default of ten seconds cuts off clients between two
 * requests.
 */
const IDLE_S = 120;
/** The runtime's shortest timeout. A connection that must be closed gets it as its idle timeout. */
const CUT_AFTER_S = 1;

export function createHttp(setup: HttpSetup): HttpServer {
  const { hostname, port, clock, log } = setup;
  let server: Bun.Server<undefined> | null = null;

  const { routes, close } = createRouteTable(setup);
  const answering = createAnswering({
    stages: createStages({ httpHost: hostname, allowedHosts: setup.allowedHosts }),
    ...{ hasApi: setup.hasApi, requestId: setup.requestId, clock, log },
    cut: (request) => server?.timeout(request, CUT_AFTER_S),
  });
  const { table, fallback } = createRuntimeRoutes(routes, answering.answer);

  return {
    start: () => {
      // Bun reads the limit for its own server from here. The types of Node.js declare it as a constant.
      (nodeHttp as { maxHeaderSize: number }).maxHeaderSize = RUNTIME_HEADER_BYTES;
      server = Bun.serve({
        hostname,
        port,
        idleTimeout: IDLE_S,
        maxRequestBodySize: RUNTIME_BODY_BYTES,
        development: false,
        // Must be set: `development: false` turns it on, and then a second server would share the port without an error.
        reusePort: setup.sharesPort,
        routes: table,
        fetch: fallback,
        error: (error) => {
          log.error("request_failed", { error: errorText(error) });
          return answering.defect();
        },
      });
      return { hostname: server.hostname ?? hostname, port: server.port ?? port };
    },
    drain: answering.closeConnections,
    stop: async (withinMs) => {
      if (server === null) return;
      const stopping = server;
      server = null;
      close();
      const cancelTimer = clock.after(withinMs, () => void stopping.stop(true));
      await stopping.stop();
      cancelTimer();
    },
  };
}
