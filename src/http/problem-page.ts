/** A refusal as an HTML page, for addresses that are opened in a browser. */
import { STATUS_CODES } from "node:http";
import { PROBLEM_STATUS, type Problem } from "../wire/problem.ts";
import { problemResponse } from "./problem-response.ts";
import { targetOf } from "./request-path.ts";
import type { RequestHeaders } from "./route.ts";

/** A browser accepts HTML when it opens an address. Clients of the API do not. */
export const takesHtml = ({ accept }: RequestHeaders): boolean => accept?.includes("text/html") ?? false;

/** Paths that always answer with JSON. */
const DATA = /^\/(api|assets|livez|readyz|openapi\.json)(\/|$)/;

/** Whether a browser opens a page. Refusals of the API are JSON for browsers, too. */
export const isPageRequest = ({ method, url }: Request, headers: RequestHeaders): boolean =>
  (method === "GET" || method === "HEAD") && takesHtml(headers) && !DATA.test(targetOf(url).path);

const STYLE = `
:root { color-scheme: light dark; background: light-dark(#fff, #111); color: light-dark(#1a1a1a, #eee); }
a { color: light-dark(#3730a3, #a5b4fc); }
body { margin: 15vh auto; max-width: 36rem; padding: 0 1.5rem; font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; }
p { overflow-wrap: anywhere; }
`;
const STYLE_HASH = new Bun.CryptoHasher("sha256").update(STYLE).digest("base64");
const POLICY = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** With the same status and headers as the JSON document. */
export function problemPage(
  problem: Problem,
  requestId: string,
  common: Readonly<Record<string, string>>,
): Response {
  const { status, headers } = problemResponse(problem, requestId, common);
  headers.set("content-type", "text/html; charset=utf-8");
  headers.set("content-security-policy", POLICY);
  return new Response(pageOf(problem, requestId), { status, headers });
}

function pageOf({ code, message }: Problem, requestId: string): string {
  const title = STATUS_CODES[PROBLEM_STATUS[code]] ?? "Error";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title} · TaskTrack</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p>${escaped(message)}</p>
${code === "unknown_route" ? '<p><a href="/tasks">Go to the tasks</a></p>' : ""}
<p><small>Request ${escaped(requestId)}</small></p>
</main>
</body>
</html>
`;
}

/** The message quotes text of the request: a path, a host. */
const escaped = (text: string): string => Bun.escapeHTML(text);
