/**
 * The route table in the form that Bun takes: a handler for each method of each path, with and without a
 * slash at the end of the path.
 */
import { refuse } from "../wire/problem.ts";
import type { Answering } from "./answer.ts";
import { targetOf } from "./request-path.ts";
import { METHODS, type Methods, type Route, type Routes } from "./route.ts";

type RuntimeHandler = (request: Bun.BunRequest) => Response | Promise<Response>;

export type RuntimeRoutes = {
  readonly table: Record<string, Record<string, RuntimeHandler>>;
  /** Answers requests for which the table has no handler. */
  readonly fallback: (request: Request) => Response | Promise<Response>;
};

export function createRuntimeRoutes(routes: Routes, answer: Answering["answer"]): RuntimeRoutes {
  /** For a path that is not in the table, or a method that the path does not have. */
  const unknown: Route = {
    ...NOT_DOCUMENTED,
    id: "unknown",
    run: ({ request }) => {
      throw noRoute(routes, targetOf(request.url).path, request.method);
    },
  };
  const fallback = (request: Request) => answer(unknown, request, {});

  function handlersOf(methods: Methods): Record<string, RuntimeHandler> {
    const handlers: Record<string, RuntimeHandler> = {};
    for (const method of METHODS) {
      const route = methods[method];
      if (route !== undefined) handlers[method] = (request) => answer(route, request, request.params);
    }
    if (handlers.GET !== undefined) handlers.HEAD = handlers.GET; // Bun leaves the body out
    // Without a handler for a method, Bun takes the next path that matches: `/api/task/:id` for `GET
    // /api/task/bulk`.
    for (const method of [...METHODS, "HEAD"]) handlers[method] ??= fallback;
    const options = optionsOf(methods);
    handlers.OPTIONS = (request) => answer(options, request, request.params);
    return handlers;
  }

  const table: RuntimeRoutes["table"] = {};
  for (const [path, methods] of Object.entries(routes)) {
    table[path] = table[`${path}/`] = handlersOf(methods);
  }
  return { table, fallback };
}

const NOT_DOCUMENTED = { summary: "", access: "open", answers: {}, problems: [] } as const;

const optionsOf = (methods: Methods): Route => ({
  ...NOT_DOCUMENTED,
  id: "options",
  run: ({ reply }) => reply(204, null, { allow: allowed(methods) }),
});

function noRoute(routes: Routes, path: string, method: string) {
  const known = Object.entries(routes).find(([pattern]) => pathPattern(pattern).test(path));
  const allow = known === undefined ? "" : allowed(known[1]);
  // Bun routes by the path as it was sent, but shows it normalized. If a path with this method comes here
  // nevertheless, it was sent as `/api/../x`.
  if (allow === "" || allow.split(", ").includes(method)) {
    return refuse("unknown_route", `There is nothing at ${path}`);
  }
  return refuse("method_not_allowed", `${path} takes ${allow}, not ${method}`, { headers: { allow } });
}

const allowed = (methods: Methods): string =>
  [
    ...METHODS.filter((method) => methods[method] !== undefined),
    ...(methods.GET ? ["HEAD"] : []),
    "OPTIONS",
  ].join(", ");

const pathPattern = (path: string): RegExp => new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}/?$`);
