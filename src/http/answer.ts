/** Answers a request: runs the stages, then the route. An error of either becomes an answer. */
import type { Clock } from "../core/clock.ts";
import { errorText, type Log } from "../lib/log.ts";
import { type Problem, problemOf } from "../wire/problem.ts";
import { ANONYMOUS } from "./access.ts";
import { discardBody, isBodyLeft } from "./body.ts";
import { isPageRequest, problemPage } from "./problem-page.ts";
import { problemResponse } from "./problem-response.ts";
import { targetOf } from "./request-path.ts";
import type { Call, Reply, RequestHeaders, Route } from "./route.ts";
import { passStages, type Stage } from "./stages/stage.ts";

export interface Answering {
  /** Never throws or rejects: an error becomes an answer. */
  answer(route: Route, request: Request, params: Call["params"]): Response | Promise<Response>;
  /** The answer to a request that failed in the runtime, before or after its route. */
  defect(): Response;
  /** From now on each answer closes its connection. */
  closeConnections(): void;
}

export type AnsweringSetup = {
  readonly stages: readonly Stage[];
  /** Whether the server has the API and the web UI. Without them, each refusal is JSON. */
  readonly hasApi: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Makes the id of a request without an X-Request-Id. */
  readonly requestId: () => string;
  /** Closes the connection of a request within seconds. */
  readonly cut: (request: Request) => void;
};

/** Headers that protect JSON in a browser. */
const COMMON_HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};

/** Copied as one object: each header that an answer sets by itself costs half a microsecond more. */
const prepareHeaders = (common: Readonly<Record<string, string>>) => ({
  common,
  bare: new Headers(common),
  json: new Headers({ ...common, "content-type": "application/json" }),
});

const REQUEST_ID = /^[\w.:-]{1,64}$/;

export function createAnswering({
  stages,
  hasApi,
  clock,
  log,
  requestId: makeId,
  cut,
}: AnsweringSetup): Answering {
  let prepared = prepareHeaders(COMMON_HEADERS);

  // Not async: a promise and a resumption for each request would cost the hottest calls a microsecond.
  function answer(route: Route, request: Request, params: Call["params"]): Response | Promise<Response> {
    const call = callOf(route, request, params);
    try {
      const passed = passStages(call, stages);
      const response = passed instanceof Promise ? passed.then(route.run) : route.run(passed);
      if (!(response instanceof Promise)) return finished(response, call);
      return response.then(
        (late) => finished(late, call),
        (error: unknown) => finished(refused(error, call), call),
      );
    } catch (error) {
      return finished(refused(error, call), call);
    }
  }

  function callOf(route: Route, request: Request, params: Call["params"]): Call {
    const headers: RequestHeaders = request.headers.toJSON();
    const given = headers["x-request-id"];
    const requestId = given !== undefined && REQUEST_ID.test(given) ? given : makeId();
    return {
      route,
      request,
      headers,
      params,
      principal: ANONYMOUS,
      requestId,
      reply: replyAs(requestId),
      cut: () => cut(request),
    };
  }

  const replyAs =
    (requestId: string): Reply =>
    (status, body, headers) => {
      const response = new Response(body, { status, headers: body === null ? prepared.bare : prepared.json });
      response.headers.set("x-request-id", requestId);
      for (const name in headers) response.headers.set(name, headers[name] ?? "");
      return response;
    };

  /**
   * Reads the rest of the body first, so that the next request on the connection is not read from the middle
   * of this one.
   */
  function finished(response: Response, call: Call): Response | Promise<Response> {
    if (!isBodyLeft(call.request, call.headers, response)) return logged(response, call);
    return discardBody(call.request, call.headers, clock).then((isWhole) => {
      if (!isWhole) response.headers.set("connection", "close");
      return logged(response, call);
    });
  }

  function refused(error: unknown, { request, headers, requestId }: Call): Response {
    const problem = problemOf(error) ?? logDefect(error, request, requestId);
    const isPage = hasApi && isPageRequest(request, headers);
    return (isPage ? problemPage : problemResponse)(problem, requestId, prepared.common);
  }

  function logDefect(error: unknown, { method, url }: Request, requestId: string): Problem {
    log.error("request_failed", { request_id: requestId, method, url, error: errorText(error) });
    return {
      code: "internal",
      message: "The server could not answer; its log has the reason under this request id",
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

  return {
    answer,
    defect: () =>
      problemResponse({ code: "internal", message: "The server could not answer" }, "", prepared.common),
    closeConnections: () => {
      prepared = prepareHeaders({ ...COMMON_HEADERS, connection: "close" });
    },
  };
}
