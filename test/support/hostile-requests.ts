/** The largest input of each route: it is accepted, and more is refused with a message. */
export type HostileRequest = {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly status: number;
  /** Whether texts of tasks are searched. */
  readonly isSearch?: boolean;
};

const BODY_BYTES = 1_048_576;

const many = <T>(count: number, make: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, n) => make(n));

/** This text repeated, separated by commas, as often as a body has room for. */
const filled = (part: string): string =>
  Array(Math.floor((BODY_BYTES - 200) / (part.length + 1)))
    .fill(part)
    .join();

const words = (count: number): string => many(count, (n) => `w${n}`).join(" ");
const bulk = (filter: string, more = ""): string =>
  `{"filter":${filter},"action":"cancel","dry_run":true${more}}`;
const deepest = `${"[".repeat(60)}${"]".repeat(60)}`;
const longTask = (n: number): object => ({
  ...{
    name: `n${n}`,
    type: "made",
    description: "d".repeat(300),
    key: `key ${n}`,
    payload: { n, text: "x".repeat(200) },
  },
  ...{
    tags: many(20, (tag) => `tag ${tag}`),
    labels: Object.fromEntries(many(20, (label) => [`l${label}`, ""])),
    delay: "24h",
    timeout: "1h30m",
    backoff: { base: "1s", max: "1h" },
  },
});

function reads(): HostileRequest[] {
  const get = (name: string, query: string, more: Partial<HostileRequest> = {}): HostileRequest => ({
    ...{ name, method: "GET", path: `/api/task${query}`, status: 200 },
    ...more,
  });
  return [
    get("the whole list", ""),
    get("the whole list of whole tasks", "?view=full"),
    get("a page of whole tasks", "?view=full&limit=1000"),
    get("a page of the largest tasks", "?view=full&limit=1000&type=large"),
    get("a list that few tasks match", `?limit=1&${many(100, (n) => `type=zz${n}*`).join("&")}`),
    get("a list by a hundred tags", `?limit=1000&${many(100, (n) => `tag=zz${n}`).join("&")}`),
    get("a list by a hundred labels", `?limit=1000&${many(100, (n) => `label=l:zz${n}`).join("&")}`),
    get("a list by 101 tags", `?${many(101, (n) => `tag=zz${n}`).join("&")}`, { status: 400 }),
    get("a search for one word", "?q=nothing", { isSearch: true }),
    get("a search for 32 words", `?q=${words(32).replaceAll(" ", "+")}`, { isSearch: true }),
    get("a search for a field", "?q=payload.a.b:nothing", { isSearch: true }),
    get("a search for 33 words", `?q=${words(33).replaceAll(" ", "+")}`, { status: 400 }),
    get("a search in the largest tasks", "?type=large&q=nothing", { isSearch: true }),
    get("ended tasks, of which there are none", "?sort=-finished_at&limit=1000"),
    get("an explanation of a pending task", "/99999/explain"),
    { name: "statistics", method: "GET", path: "/api/stats", status: 200 },
  ];
}

function writes(): HostileRequest[] {
  const post = (
    name: string,
    path: string,
    body: string,
    status: number,
    isSearch = false,
  ): HostileRequest => ({
    ...{ name, method: "POST", path, body, status, isSearch },
  });
  return [
    post("a dry run of everything", "/api/task/bulk", bulk("{}", ',"all":true'), 200),
    post("a dry run by 32 words", "/api/task/bulk", bulk(`{"q":"${words(32)}"}`), 200, true),
    post(
      "a dry run by one word that is repeated",
      "/api/task/bulk",
      bulk(`{"q":"${"x ".repeat(2_000)}"}`),
      200,
      true,
    ),
    post("a dry run by half a million words", "/api/task/bulk", bulk(`{"q":"${"x ".repeat(500_000)}"}`), 400),
    post(
      "a dry run by 100 patterns",
      "/api/task/bulk",
      bulk(`{"type":${JSON.stringify(many(100, (n) => `z${n}*`))}}`),
      200,
    ),
    ...(["type", "tag", "status"] as const).map((field) =>
      post(
        `a dry run by a body full of ${field}`,
        "/api/task/bulk",
        bulk(`{"${field}":[${filled('"done"')}]}`),
        400,
      ),
    ),
    post(
      "an action on ten thousand tasks",
      "/api/task/bulk",
      '{"filter":{},"all":true,"action":"cancel"}',
      200,
    ),
    post("a thousand creates", "/api/task", JSON.stringify(many(1_000, longTask)), 201),
    post("creates of nothing", "/api/task", `[${filled("{}")}]`, 400),
    post("creates with the deepest allowed nesting", "/api/task", `[${filled(deepest)}]`, 400),
    post(
      "a payload of a mebibyte of lists",
      "/api/task",
      `{"name":"x","delay":"24h","payload":[${filled(deepest)}]}`,
      201,
    ),
    post("a claim of a thousand", "/api/worker/claim", '{"worker":"w","types":["t*"],"max":1000}', 200),
    post("a claim of the largest", "/api/worker/claim", '{"worker":"w","types":["large"],"max":1000}', 200),
    post(
      "a claim of a body full of types",
      "/api/worker/claim",
      `{"worker":"w","types":[${filled('"a"')}]}`,
      400,
    ),
    post(
      "a body full of heartbeats",
      "/api/worker/heartbeat",
      `{"worker":"w","leases":[${filled('{"id":1,"token":"x"}')}]}`,
      400,
    ),
    post(
      "a body full of log lines",
      "/api/worker/heartbeat",
      `{"worker":"w","leases":[{"id":1,"token":"x","log":[${filled('""')}]}]}`,
      200,
    ),
  ];
}

export const hostileRequests = (): readonly HostileRequest[] => [...reads(), ...writes()];
