/** The pages and files of the web UI. They are not in the OpenAPI document. */
import { errorText, type Log } from "../../lib/log.ts";
import { ENCODINGS, type Encoding, type UiFile, type UiFiles } from "../../ui/archive.ts";
import { refuse } from "../../wire/problem.ts";
import { codingsOf } from "../compression.ts";
import { takesHtml } from "../problem-page.ts";
import { targetOf } from "../request-path.ts";
import type { Call, RequestHeaders, Route, Routes } from "../route.ts";

export type UiSetup = {
  /** The files of the web UI. The first call may take a second. */
  readonly uiFiles: () => Promise<UiFiles>;
  readonly log: Log;
};

/**
 * The paths of the pages, beside "/". All have the same document, and its script shows the page of the path.
 */
const PAGES = ["/tasks", "/tasks/:id", "/new", "/overview"];

/** The UI loads only its own files, and no page may show it in a frame. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

const PAGE_HEADERS = {
  "content-security-policy": PAGE_POLICY,
  "referrer-policy": "same-origin",
  "cache-control": "no-cache", // the browser asks at each load, and gets a 304 while the document is the same
};

/** The name of an asset changes with its content. */
const ASSET_HEADERS = { "cache-control": "public, max-age=31536000, immutable" };

export function createUiRoutes({ uiFiles, log }: UiSetup): Routes {
  const page: Route = {
    id: "page",
    summary: "The web UI",
    access: "open",
    answers: {},
    problems: [],
    run: async (call) => {
      if (!takesHtml(call.headers)) throw noPage(call);
      return answerWith(await find("index.html", call), call, PAGE_HEADERS);
    },
  };

  const home: Route = {
    ...page,
    id: "home",
    run: (call) =>
      takesHtml(call.headers) ? page.run(call) : call.reply(200, HOME, { vary: "accept, accept-encoding" }),
  };

  const asset: Route = {
    id: "asset",
    summary: "A file that the web UI loads",
    access: "open",
    answers: {},
    problems: [],
    run: async (call) => answerWith(await find(call.params.file ?? "", call), call, ASSET_HEADERS),
  };

  async function find(name: string, call: Call): Promise<UiFile> {
    const files = await uiFiles().catch((error: unknown) => {
      log.error("ui_failed", { request_id: call.requestId, error: errorText(error) });
      throw refuse(
        "not_ready",
        "The web UI cannot be shown; the server's log has the reason. The API is not affected",
      );
    });
    const file = files.get(name);
    if (file === undefined) throw nothingHere(call);
    return file;
  }

  return {
    "/": { GET: home },
    ...Object.fromEntries(PAGES.map((path) => [path, { GET: page }])),
    "/assets/:file": { GET: asset },
  };
}

const nothingHere = ({ request }: Call) =>
  refuse("unknown_route", `There is nothing at ${targetOf(request.url).path}`);

/** For clients other than browsers that request the path of a page, such as curl. */
const noPage = ({ request }: Call) => {
  const { path } = targetOf(request.url);
  return refuse(
    "unknown_route",
    `${path} is a page of the web UI, for clients that accept text/html; the API is at /api/task, described in /openapi.json`,
  );
};

/** The answer of "/" to clients other than browsers. */
const HOME = JSON.stringify({
  name: "TaskTrack",
  tasks: "/api/task",
  events: "/api/events",
  stats: "/api/stats",
  openapi: "/openapi.json",
  alive: "/livez",
  ready: "/readyz",
  ui: "/tasks",
  example: `curl -d '{"name":"someName"}' http://HOST/api/task`,
});

function answerWith(file: UiFile, { headers, reply }: Call, own: Readonly<Record<string, string>>): Response {
  const encoding = encodingFor(headers);
  const etag = `"${file.hash}-${encoding}"`;
  const all = { ...own, etag, vary: "accept-encoding" };
  if (headers["if-none-match"]?.includes(etag)) return reply(304, null, all);
  return reply(200, file.contents[encoding], {
    ...all,
    "content-type": file.type,
    ...(encoding === "identity" ? {} : { "content-encoding": encoding }),
  });
}

/** The smallest encoding that the client accepts. */
function encodingFor(headers: RequestHeaders): Encoding {
  const taken = codingsOf(headers);
  return ENCODINGS.find((encoding) => taken.includes(encoding)) ?? "identity";
}
