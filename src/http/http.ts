import nodeHttp from "node:http";
import { z } from "zod";
import type { Clock } from "../core/clock.ts";
import type { Engine } from "../engine/engine.ts";
import type { HostPattern } from "../lib/host-patterns.ts";
import { errorText } from "../lib/log.ts";
import { type Problem, problemOf, refuse } from "../wire/problem.ts";
import { createBoardRoutes } from "./board.ts";
import { discardBody, isBodyLeft } from "./body.ts";
import { replyCompressed } from "./compression.ts";
import { createEventRoutes } from "./events.ts";
import { createGuard, type RequestHeaders } from "./guard.ts";
import { createHealthRoutes, type HealthSetup } from "./health.ts";
import { createListRoutes } from "./lists.ts";
import { createOpenApi, type Section } from "./openapi.ts";
import { isPageRequest, problemPage } from "./problem-page.ts";
import { problemResponse } from "./problem-response.ts";
import { type Call, METHODS, type Method, type Reply, type Route, type Routes } from "./route.ts";
import { targetOf } from "./target.ts";
import { createTaskRoutes } from "./tasks.ts";
import { createUiRoutes, type UiSetup } from "./ui.ts";
import { createWorkRoutes } from "./work.ts";

export interface HttpServer {
  /** Listens; throws where that cannot be. Returns where. */
  start(): { readonly hostname: string; readonly port: number };
  /** From now on each answer closes its connection, so that clients go elsewhere; requests are still served. */
  drain(): void;
  /** Listens no more, ends the event streams and the waits for work, and waits up to `withinMs` for the requests under way. */
  stop(withinMs: number): Promise<void>;
}

export type HttpSetup = HealthSetup &
  UiSetup & {
    readonly engine: Engine;
    /** Whether there is more to ask than the probes: the API and the web UI. */
    readonly hasApi: boolean;
    /** Of claims that name no lease of their own. */
    readonly leaseMs: number;
    readonly hostname: string;
    readonly port: number;
    /** Whether other processes of the same server listen there too. */
    readonly sharesPort: boolean;
    readonly allowedHosts: readonly HostPattern[];
    readonly version: string;
    readonly clock: Clock;
    /** Makes the id of a request that brings none. */
    readonly requestId: () => string;
  };

/** Everything that can be asked. */
function routeTable(setup: HttpSetup, { events }: Pick<EventRoutes, "events">, work: WorkRoutes): Routes {
  const tasks = createTaskRoutes(setup);
  const lists = createListRoutes(setup);
  const board = createBoardRoutes(setup);
  const health = createHealthRoutes(setup);
  const openapi = createOpenApiRoute(() => createOpenApi(sections, setup.version));
  const probes: Routes = {
    "/livez": { GET: health.livez },
    "/readyz": { GET: health.readyz },
  };
  const ofTasks: Routes = {
    "/api/task": { GET: lists.list, POST: tasks.create },
    "/api/task/bulk": { POST: lists.bulk },
    "/api/task/:id": { GET: tasks.get, PATCH: tasks.edit, DELETE: tasks.remove },
    "/api/task/:id/cancel": { POST: tasks.cancel },
    "/api/task/:id/retry": { POST: tasks.retry },
    "/api/task/:id/log": { GET: tasks.readLog },
    "/api/task/:id/explain": { GET: board.explain },
    "/api/events": { GET: events },
  };
  const ofWorkers: Routes = {
    "/api/task/:id/complete": { POST: work.complete },
    "/api/task/:id/fail": { POST: work.fail },
    "/api/task/:id/release": { POST: work.release },
    "/api/worker/claim": { POST: work.claim },
    "/api/worker/leave": { POST: work.leave },
    "/api/worker/heartbeat": { POST: work.heartbeat },
    "/api/worker/complete": { POST: work.completeMany },
    "/api/worker/:name/drain": { POST: work.drain, DELETE: work.undrain },
  };
  const ofServer: Routes = {
    "/api/stats": { GET: board.stats },
    ...probes,
    "/openapi.json": { GET: openapi },
  };
  const sections: readonly Section[] = [
    { tag: "tasks", description: "For clients: submit work and follow it", routes: ofTasks },
    { tag: "workers", description: "For workers: claim tasks and report on them", routes: ofWorkers },
    { tag: "server", description: "For operators: the state of the whole", routes: ofServer },
  ];
  return setup.hasApi ? { ...ofTasks, ...ofWorkers, ...ofServer, ...createUiRoutes(setup) } : probes;
}

type EventRoutes = ReturnType<typeof createEventRoutes>;
type WorkRoutes = ReturnType<typeof createWorkRoutes>;

/** Larger than ours, so that it is we who refuse, with words. */
const RUNTIME_HEADER_BYTES = 64 * 1_024;
const RUNTIME_BODY_BYTES = Number.MAX_SAFE_INTEGER;
/** A keep-alive connection may rest this long; Bun's own ten seconds cut off clients between two requests. */
const IDLE_S = 120;
/** The runtime's shortest time for a connection to rest: what is left of one that is to be cut. */
const CUT_AFTER_S = 1;

/** What protects JSON in a browser. */
const COMMON_HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};

/** Copied in one go; each header that an answer names itself costs it half a microsecond more. */
const prepareHeaders = (common: Readonly<Record<string, string>>) => ({
  common,
  bare: new Headers(common),
  json: new Headers({ ...common, "content-type": "application/json" }),
});

const REQUEST_ID = /^[\w.:-]{1,64}$/;

export function createHttp(setup: HttpSetup): HttpServer {
  const { log } = setup;
  const eventRoutes = createEventRoutes(setup);
  const workRoutes = createWorkRoutes(setup);
  const routes = routeTable(setup, eventRoutes, workRoutes);
  const guard = createGuard({ httpHost: setup.hostname, allowedHosts: setup.allowedHosts });
  let prepared = prepareHeaders(COMMON_HEADERS);
  let server: Bun.Server<undefined> | null = null;

  /** Every request passes here: guard, route, and whatever it throws becomes an answer. */
  function answer(run: Route["run"], request: Request, params: Call["params"]): Response | Promise<Response> {
    const headers: RequestHeaders = request.headers.toJSON();
    const brought = headers["x-request-id"];
    const requestId = brought !== undefined && REQUEST_ID.test(brought) ? brought : setup.requestId();
    const call: Call = {
      request,
      headers,
      params,
      requestId,
      reply: replyAs(requestId),
      cut: () => server?.timeout(request, CUT_AFTER_S),
    };
    try {
      guard(request, headers);
      const response = run(call);
      if (!(response instanceof Promise)) return finished(response, call);
      return response.then(
        (late) => finished(late, call),
        (error: unknown) => finished(refused(error, call), call),
      );
    } catch (error) {
      return finished(refused(error, call), call);
    }
  }

  /** An answer never leaves a connection in the middle of its request. */
  function finished(response: Response, call: Call): Response | Promise<Response> {
    if (!isBodyLeft(call.request, call.headers, response)) return logged(response, call);
    return discardBody(call.request, call.headers, setup.clock).then((isWhole) => {
      if (!isWhole) response.headers.set("connection", "close");
      return logged(response, call);
    });
  }

  const replyAs =
    (requestId: string): Reply =>
    (status, body, headers) => {
      const response = new Response(body, { status, headers: body === null ? prepared.bare : prepared.json });
      response.headers.set("x-request-id", requestId);
      for (const name in headers) response.headers.set(name, headers[name] ?? "");
      return response;
    };

  function refused(error: unknown, { request, headers, requestId }: Call): Response {
    const problem = problemOf(error) ?? defect(error, request, requestId);
    const isPage = setup.hasApi && isPageRequest(request, headers);
    return (isPage ? problemPage : problemResponse)(problem, requestId, prepared.common);
  }

  function defect(error: unknown, { method, url }: Request, requestId: string): Problem {
    log.error("request_failed", { request_id: requestId, method, url, error: errorText(error) });
    return {
      code: "internal",
      message: "The server could not answer; its log says why under this request id",
    };
  }

  function logged(response: Response, { request, requestId }: Call): Response {
    if (log.isDebug) {
      const { path } = targetOf(request.url);
      const { method } = request;
      log.debug("request", { request_id: requestId, method, path, status: response.status });
    }
    return response;
  }

  // ---- the runtime's route table: each path with and without a slash at its end

  type BunHandler = (request: Bun.BunRequest) => Response | Promise<Response>;

  function bunRoutes(): Record<string, Record<string, BunHandler>> {
    const table: Record<string, Record<string, BunHandler>> = {};
    for (const [path, methods] of Object.entries(routes)) {
      table[path] = table[`${path}/`] = bunMethods(methods);
    }
    return table;
  }

  function bunMethods(methods: Partial<Record<Method, Route>>): Record<string, BunHandler> {
    const handlers: Record<string, BunHandler> = {};
    for (const method of METHODS) {
      const route = methods[method];
      if (route !== undefined) handlers[method] = (request) => answer(route.run, request, request.params);
    }
    if (handlers.GET !== undefined) handlers.HEAD = handlers.GET; // the runtime leaves the body out
    // Of a path that lacks a method the runtime would ask the next that matches: `/api/task/:id`, in place of `/api/task/bulk`.
    for (const method of [...METHODS, "HEAD"]) handlers[method] ??= fallback;
    handlers.OPTIONS = (request) =>
      answer(({ reply }) => reply(204, null, { allow: allowed(methods) }), request, request.params);
    return handlers;
  }

  /** What the table does not take: a path that is not there, or a method that it does not have. */
  function fallback(request: Request): Response | Promise<Response> {
    const refuseIt = (): never => {
      throw noRoute(targetOf(request.url).path, request.method);
    };
    return answer(refuseIt, request, {});
  }

  function noRoute(path: string, method: string) {
    const known = Object.entries(routes).find(([pattern]) => pathPattern(pattern).test(path));
    const allow = known === undefined ? "" : allowed(known[1]);
    // The runtime routes by the path as it was sent but shows it tidied: what has its method and is here was `/api/../x`.
    if (allow === "" || allow.split(", ").includes(method)) {
      return refuse("unknown_route", `There is nothing at ${path}`);
    }
    return refuse("method_not_allowed", `${path} takes ${allow}, not ${method}`, { headers: { allow } });
  }

  return {
    start: () => {
      // Bun reads it here for its own server too; Node's types know it as a constant.
      (nodeHttp as { maxHeaderSize: number }).maxHeaderSize = RUNTIME_HEADER_BYTES;
      server = Bun.serve({
        hostname: setup.hostname,
        port: setup.port,
        idleTimeout: IDLE_S,
        maxRequestBodySize: RUNTIME_BODY_BYTES,
        development: false,
        reusePort: setup.sharesPort, // must be said: `development: false` turns it on, and a second server would share the port unseen
        routes: bunRoutes(),
        fetch: fallback,
        error: (error) => {
          log.error("request_failed", { error: errorText(error) });
          return problemResponse(
            { code: "internal", message: "The server could not answer" },
            "",
            prepared.common,
          );
        },
      });
      return { hostname: server.hostname ?? setup.hostname, port: server.port ?? setup.port };
    },
    drain: () => {
      prepared = prepareHeaders({ ...COMMON_HEADERS, connection: "close" });
    },
    stop: async (withinMs) => {
      if (server === null) return;
      const stopping = server;
      server = null;
      eventRoutes.close();
      workRoutes.close();
      const cancelTimer = setup.clock.after(withinMs, () => void stopping.stop(true));
      await stopping.stop();
      cancelTimer();
    },
  };
}

const OpenApiAnswer = z
  .looseObject({ openapi: z.string().meta({ description: "The version of OpenAPI", examples: ["3.1.0"] }) })
  .meta({ id: "OpenApiDocument", description: "An OpenAPI document" });

function createOpenApiRoute(document: () => unknown): Route {
  let text: string | null = null;
  return {
    id: "openapi",
    summary: "This document",
    answers: { 200: { description: "OpenAPI 3.1", schema: OpenApiAnswer } },
    problems: [],
    run: (call) => {
      text ??= JSON.stringify(document());
      return replyCompressed(call, text);
    },
  };
}

const allowed = (methods: Partial<Record<Method, Route>>): string =>
  [
    ...METHODS.filter((method) => methods[method] !== undefined),
    ...(methods.GET ? ["HEAD"] : []),
    "OPTIONS",
  ].join(", ");

const pathPattern = (path: string): RegExp => new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}/?$`);
