import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { PROBLEM_STATUS } from "../src/wire/problem.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import {
  createOpenApiChecker,
  fetchOpenApi,
  type OpenApiChecker,
  type OpenApiDocument,
  operationsOf,
} from "./support/openapi.ts";

let server: RunningApp;
let document: OpenApiDocument;
let checker: OpenApiChecker;

beforeAll(async () => {
  server = await startApp({ ROLE: "api" });
  document = await fetchOpenApi(server.url);
  checker = createOpenApiChecker(document);
});
afterAll(() => server.stop());

describe("the OpenAPI document", () => {
  test("has version 3.1, and the name and version of TaskTrack", () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info).toMatchObject({
      title: "TaskTrack",
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    });
  });

  test("has the five basic calls, the probes and its own path", () => {
    const routes = operationsOf(document).map(({ method, path }) => `${method} ${path}`);
    expect(routes).toEqual(
      expect.arrayContaining([
        "GET /api/task",
        "POST /api/task",
        "GET /api/task/{id}",
        "PATCH /api/task/{id}",
        "DELETE /api/task/{id}",
        "GET /api/events",
        "GET /livez",
        "GET /readyz",
        "GET /openapi.json",
      ]),
    );
  });

  test("has exactly the methods that each path allows", async () => {
    for (const path of Object.keys(document.paths)) {
      const documented = operationsOf(document)
        .filter((operation) => operation.path === path)
        .map(({ method }) => method);
      const response = await fetch(server.url + path.replace(/\{\w+\}/, "1"), { method: "OPTIONS" });
      const allowed = response.headers.get("allow")?.split(", ") ?? [];
      const implied = documented.includes("GET") ? ["HEAD", "OPTIONS"] : ["OPTIONS"];
      expect(allowed.toSorted()).toEqual([...documented, ...implied].sort());
    }
  });

  test("names each operation once, and describes it and all its answers", () => {
    const operations = operationsOf(document).map(({ operation }) => operation);
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    for (const { operationId, summary, responses } of operations) {
      expect(summary).not.toBeEmpty();
      for (const [status, answer] of Object.entries(responses)) {
        expect(`${operationId} ${status} ${answer.description}`).toMatch(/ [1-5]\d\d \S/);
        const types = Object.keys(answer.content ?? {});
        if (Number(status) >= 400) expect(types).toEqual(["application/problem+json"]);
        else if (operationId === "watchTasks") expect(types).toEqual(["text/event-stream"]);
        else expect(types).toEqual(["204", "304"].includes(status) ? [] : ["application/json"]);
      }
    }
  });

  test("documents all refusals of every request", () => {
    for (const { operation } of operationsOf(document)) {
      expect(Object.keys(operation.responses)).toEqual(
        expect.arrayContaining(["400", "403", "405", "414", "431", "500", "503"]),
      );
    }
  });

  test("declares each parameter that its paths name", () => {
    for (const [path, item] of Object.entries(document.paths)) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = (item.parameters ?? []).filter((parameter) => parameter.in === "path");
      expect(declared.map(({ name }) => name)).toEqual(named as string[]); // each match has its group
      expect(declared.every(({ required }) => required === true)).toBe(true);
    }
  });

  /** The query parameters of a path, and whether their schemas accept a value. */
  const queryOf = (path: string) => {
    const parameters = document.paths[path]?.get?.parameters ?? [];
    const takes = (name: string, value: unknown): boolean => {
      const schema = parameters.find((parameter) => parameter.name === name)?.schema;
      return schema !== undefined && checker.compile(schema)(value) === true;
    };
    return { parameters, takes };
  };

  test("declares the parameters of events and waits with schemas that accept the same values as the server", () => {
    const { parameters, takes } = queryOf("/api/events");
    expect(parameters.map(({ name }) => name).toSorted()).toEqual([
      "Last-Event-ID",
      "status",
      "task",
      "type",
    ]);
    expect([takes("task", [1, 2]), takes("task", [0]), takes("task", 1)]).toEqual([true, false, false]);
    expect([takes("type", ["a.b", "video.*", "*"]), takes("type", ["a b"])]).toEqual([true, false]);
    expect([takes("status", ["done"]), takes("status", ["weird"])]).toEqual([true, false]);
    expect(queryOf("/api/task/{id}").takes("wait", "30s")).toBe(true);
  });

  test("declares the parameters of the list with schemas that accept the same values as the server", () => {
    const { parameters, takes } = queryOf("/api/task");
    expect(parameters.map(({ name }) => name).toSorted()).toEqual([
      "Prefer",
      "cursor",
      "label",
      "limit",
      "q",
      "sort",
      "status",
      "tag",
      "type",
      "view",
    ]);
    expect([takes("limit", 1), takes("limit", 1_000), takes("limit", 0), takes("limit", 1_001)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect([takes("status", ["done", "failed"]), takes("status", ["weird"])]).toEqual([true, false]);
    expect(["full", "state", "half"].map((view) => takes("view", view))).toEqual([true, true, false]);
    expect(takes("cursor", "aWQ6MQ")).toBe(true);
  });

  test("has only JSON Schemas of draft 2020-12, with valid examples", () => {
    const schemas = operationsOf(document).flatMap(({ operation }) => [
      ...(operation.parameters ?? []).map(({ schema }) => schema),
      ...Object.values(operation.requestBody?.content ?? {}).map(({ schema }) => schema),
      ...Object.values(operation.responses).flatMap(({ content, headers }) =>
        [...Object.values(content ?? {}), ...Object.values(headers ?? {})].map(({ schema }) => schema),
      ),
    ]);
    const all = [...schemas, ...Object.values(document.components.schemas)];
    expect(all.length).toBeGreaterThan(30);
    for (const schema of all) {
      expect(schema).toBeDefined();
      checker.compile(schema ?? {});
    }
    const withExamples = all.flatMap((schema) => partsWithExamples(schema));
    expect(withExamples.length).toBeGreaterThan(5);
    for (const part of withExamples) {
      for (const example of part.examples)
        expect([part, checker.compile(part)(example)]).toEqual([part, true]);
    }
  });

  test("has the whole enum of codes", () => {
    const codes = document.components.schemas.ProblemCode as { enum: string[] };
    expect(codes.enum.toSorted()).toEqual(Object.keys(PROBLEM_STATUS).sort());
  });

  const bodyOf = (path: string, method: "post" | "patch") =>
    checker.compile(document.paths[path]?.[method]?.requestBody?.content["application/json"]?.schema ?? {});

  test("accepts valid bodies and no others", () => {
    const create = bodyOf("/api/task", "post");
    const patch = bodyOf("/api/task/{id}", "patch");
    expect(create({ name: "someName", description: "some description" })).toBe(true);
    expect(create({ name: "x", description: null })).toBe(true);
    for (const wrong of [{}, { name: "" }, { name: 7 }, { name: "x", id: 1 }, [], null]) {
      expect(create(wrong)).toBe(false);
    }
    expect(patch({ description: null })).toBe(true);
    for (const wrong of [{}, { name: null }, { status: "done" }, "x"]) expect(patch(wrong)).toBe(false);
  });

  test("accepts an array of tasks instead of one task", () => {
    const create = bodyOf("/api/task", "post");
    expect(create([{ name: "x" }, { name: "y", payload: [1, null] }])).toBe(true);
    for (const wrong of [[{}], [{ name: "x", id: 1 }], [[{ name: "x" }]]]) expect(create(wrong)).toBe(false);
  });

  test.each([
    ["type", ["video.encode", "a"], ["", "a b", "video.*", "x".repeat(65)]],
    ["delay", ["0", "0s", "1h30m", ".5s", "1.s", "10\u00b5s"], ["", "1", "-1s", "5 s", "1d"]],
    ["timeout", ["90s", null], ["90"]],
    ["run_at", ["2026-01-31T12:00:00Z"], [5]],
    ["priority", [-1_000, 1_000], [1_001, 0.5]],
    ["tags", [[], ["x"]], [[""], ["x".repeat(65)], Array(21).fill("x")]],
    ["backoff", [{ base: "1s", max: "1h" }], [{ base: "1s" }, { base: "1s", max: "soon" }]],
  ])("defines the valid values of a task's %s", (field, good, bad) => {
    const create = bodyOf("/api/task", "post");
    const taken = (values: readonly unknown[]) =>
      values.map((value) => create({ name: "x", [field]: value }));
    expect(taken(good)).toEqual(good.map(() => true));
    expect(taken(bad)).toEqual(bad.map(() => false));
  });
});

describe("for generators of clients the OpenAPI document", () => {
  const answers = () =>
    operationsOf(document).flatMap(({ operation }) =>
      Object.entries(operation.responses).map(([status, answer]) => ({ operation, status, answer })),
    );

  test("gives each object and each enum a name", () => {
    const nameless = operationsOf(document).flatMap(({ operation }) =>
      partsOf(operation).filter((part) => "properties" in part || "enum" in part),
    );
    expect(nameless).toEqual([]);
    for (const component of Object.values(document.components.schemas)) {
      const inside = Object.values(component).flatMap(partsOf);
      expect(inside.filter((part) => "properties" in part || "enum" in part)).toEqual([]);
    }
  });

  test("allows fields that later versions add to answers", () => {
    const closed = answers().flatMap(({ answer }) => partsOf(resolved(answer)).filter(isClosed));
    expect(closed).toEqual([]);
  });

  test("has one schema for all successful answers of a create, and of each operation that succeeds in several ways", () => {
    for (const { operation } of operationsOf(document)) {
      const successes = Object.entries(operation.responses).filter(([status]) => Number(status) < 300);
      const schemas = successes.flatMap(([, { content }]) => Object.values(content ?? {}));
      expect(new Set(schemas.map(({ schema }) => JSON.stringify(schema))).size).toBeLessThan(2);
    }
  });

  test("has only one choice between objects: a task or an array of tasks", () => {
    const parts = partsOf(document).filter((part) => "oneOf" in part || "anyOf" in part);
    const choices = parts.filter(({ oneOf, anyOf }) => !isNullable(oneOf ?? anyOf));
    const named = Object.entries(document.components.schemas).filter(([, part]) => choices.includes(part));
    expect(named.map(([name]) => name).sort()).toEqual(["CreateBody", "LogEntry"]);
    expect(choices.length).toBe(2);
  });

  test("has no constants, which few languages support as types", () => {
    expect(partsOf(document).filter((part) => "const" in part)).toEqual([]);
  });

  test("declares which integers need 64 bits, and that other numbers have the precision of a double", () => {
    for (const part of partsOf(document)) {
      if (part.type === "number") expect(part).toMatchObject({ format: "double" });
      if (part.type !== "integer") continue;
      const { minimum = -(2 ** 53), maximum = 2 ** 53 } = part as { minimum?: number; maximum?: number };
      const isShort = minimum >= -(2 ** 31) && maximum < 2 ** 31;
      expect({ part, format: part.format }).toEqual({ part, format: isShort ? undefined : "int64" });
    }
  });

  test("has one media type and an example for each request body", () => {
    const bodies = operationsOf(document).flatMap(({ operation }) => operation.requestBody ?? []);
    expect(bodies.length).toBeGreaterThan(8);
    for (const { content } of bodies) {
      expect(Object.keys(content)).toEqual(["application/json"]);
      const schema = resolved(content["application/json"]?.schema) as { examples?: unknown[] };
      expect([schema, (schema.examples ?? []).length > 0]).toEqual([schema, true]);
    }
  });

  test("has no body if none is needed, so that the generated call has no argument for it", () => {
    const withoutBody = operationsOf(document)
      .filter(({ operation, method }) => method === "POST" && operation.requestBody === undefined)
      .map(({ operation }) => operation.operationId);
    expect(withoutBody.sort()).toEqual(["cancelTask", "drainWorker", "retryTask"]);
  });

  test("declares that it needs no credentials, and groups its operations by described tags", () => {
    expect(document.security).toEqual([]);
    const described = document.tags.map(({ name }) => name);
    expect(document.tags.every(({ description }) => description.length > 0)).toBe(true);
    const used = operationsOf(document).flatMap(({ operation }) => operation.tags);
    expect(used.length).toBe(operationsOf(document).length);
    expect([...new Set(used)].sort()).toEqual(described.toSorted());
  });

  test("describes each parameter, each header and each field", () => {
    const described = (part: unknown): boolean =>
      "description" in (resolved(part) as Json) || isDescribed(part);
    for (const { path, operation } of operationsOf(document)) {
      const parameters = [...(operation.parameters ?? []), ...(document.paths[path]?.parameters ?? [])];
      for (const parameter of parameters)
        expect([parameter, isDescribed(parameter)]).toEqual([parameter, true]);
    }
    for (const { answer } of answers()) {
      for (const header of Object.values(answer.headers ?? {}))
        expect([header, isDescribed(header)]).toEqual([header, true]);
    }
    for (const [name, schema] of Object.entries(document.components.schemas)) {
      expect([name, isDescribed(schema)]).toEqual([name, true]);
      for (const [field, part] of Object.entries((schema.properties as Json) ?? {}))
        expect([name, field, described(part)]).toEqual([name, field, true]);
    }
  });

  test.each([
    ["GET", "/api/task", "200", ["Link", "X-Total-Count", "Preference-Applied"]],
    ["POST", "/api/task", "200", ["Location", "Preference-Applied", "Idempotent-Replayed"]],
    ["POST", "/api/task", "201", ["Location", "Idempotent-Replayed"]],
    ["POST", "/api/task", "202", ["Location", "Preference-Applied", "Idempotent-Replayed"]],
    ["GET", "/api/task/{id}", "200", ["ETag"]],
    ["GET", "/api/task/{id}", "304", ["ETag"]],
    ["PATCH", "/api/task/{id}", "200", ["ETag"]],
    ["POST", "/api/task/{id}/cancel", "202", ["ETag"]],
    ["POST", "/api/task/{id}/retry", "200", ["ETag"]],
    ["GET", "/livez", "405", ["Allow"]],
    ["GET", "/readyz", "503", ["Retry-After"]],
  ])("%s %s documents the headers of its %s: %j", (method, path, status, headers) => {
    const operation = document.paths[path]?.[method.toLowerCase()];
    expect(Object.keys(operation?.responses[status]?.headers ?? {})).toEqual(
      expect.arrayContaining(["X-Request-Id", ...headers]),
    );
  });

  test("documents the request headers that have an effect", () => {
    const headersOf = (path: string, method: string) =>
      (document.paths[path]?.[method]?.parameters ?? [])
        .filter((parameter) => parameter.in === "header")
        .map(({ name }) => name);
    expect(headersOf("/api/events", "get")).toEqual(["Last-Event-ID"]);
    expect(headersOf("/api/task", "post").sort()).toEqual(["Idempotency-Key", "Prefer"]);
    expect(headersOf("/api/task/{id}", "delete").sort()).toEqual(["Idempotency-Key", "If-Match"]);
  });
});

type Json = Record<string, unknown>;

/** Every object inside a value, itself included. Examples are values of clients and no part of the document. */
function partsOf(value: unknown): Json[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(partsOf);
  const inside = Object.entries(value).filter(([key]) => key !== "examples");
  return [value as Json, ...inside.flatMap(([, part]) => partsOf(part))];
}

/** The value with each reference replaced by the schema that it names. */
function resolved(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(resolved);
  const { $ref, ...rest } = value as Json;
  const own = Object.fromEntries(Object.entries(rest).map(([key, part]) => [key, resolved(part)]));
  if (typeof $ref !== "string") return own;
  const named = document.components.schemas[$ref.replace("#/components/schemas/", "")];
  return { ...(resolved(named) as Json), ...own };
}

const isClosed = (part: Json): boolean => part.additionalProperties === false;
const isDescribed = (part: unknown): boolean =>
  typeof (part as Json).description === "string" && (part as Json).description !== "";
/** A choice between something and null is a field that may be null. */
const isNullable = (choice: unknown): boolean =>
  Array.isArray(choice) && choice.length === 2 && choice.some((part: Json) => part.type === "null");

type WithExamples = { readonly examples: readonly unknown[] };

/** Every part of a schema, itself included, that shows examples. */
function partsWithExamples(schema: unknown): WithExamples[] {
  if (typeof schema !== "object" || schema === null) return [];
  const inside = Object.values(schema).flatMap(partsWithExamples);
  return "examples" in schema && Array.isArray(schema.examples)
    ? [schema as WithExamples, ...inside]
    : inside;
}

describe("the document detects an invalid answer when", () => {
  const problem = {
    error: "Task not found",
    type: "about:blank",
    title: "Not Found",
    status: 404,
    detail: "Task not found",
    code: "not_found",
    request_id: "1",
  };
  const answer = (status: number, body: unknown, type = "application/json"): Response =>
    new Response(body === null ? null : JSON.stringify(body), {
      status,
      headers: { "content-type": type, "x-request-id": "1" },
    });
  const refusal = (body: unknown): Response => answer(404, body, "application/problem+json");
  const task = { method: "GET", target: "/api/task/1" };
  const list = { method: "GET", target: "/api/task?limit=1" };
  const create = { method: "POST", target: "/api/task" };
  const bulk = { method: "POST", target: "/api/task/bulk" };
  const summary = { id: 1, name: "x", description: "", status: "done" };

  test("it is valid, without a fault", async () => {
    expect(await checker.faults(task, refusal(problem))).toEqual([]);
    expect(await checker.faults({ method: "GET", target: "/nope" }, refusal(problem))).toEqual([]);
    expect(await checker.faults({ ...task, method: "DELETE" }, answer(204, null))).toEqual([]);
    expect(await checker.faults(list, answer(200, []))).toEqual([]);
    expect(await checker.faults(list, answer(200, [summary]))).toEqual([]);
    expect(await checker.faults(create, answer(201, { message: "Created", task_id: 1 }))).toEqual([]);
    expect(await checker.faults(create, answer(201, { message: "Created", task_ids: [1] }))).toEqual([]);
    expect(await checker.faults(bulk, answer(200, { count: 1, refused: 0, next: null }))).toEqual([]);
  });

  test.each([
    ["its status is not documented", task, answer(418, {})],
    ["its media type is not documented", task, answer(404, problem)],
    ["its media type is HTML", list, answer(200, [], "text/html")],
    ["its body does not match the schema", list, answer(200, [{ id: "1" }])],
    ["its body lacks a field", task, answer(200, { id: 1, name: "x", description: "", status: "done" })],
    ["its body has an unknown field", list, answer(200, [{ ...summary, colour: "red" }])],
    ["a listed task is neither short nor whole", list, answer(200, [{ ...summary, version: 1 }])],
    ["a create answers with no id", create, answer(201, { message: "Task created successfully" })],
    ["a create answers with part of a task", create, answer(200, summary)],
    ["a bulk action answers with half a count", bulk, answer(200, { count: 1, refused: 0 })],
    ["its code is unknown", task, refusal({ ...problem, code: "oops" })],
    ["it lacks the member `error`", task, refusal({ ...problem, error: undefined })],
    ["it has no request id", list, Response.json([])],
    ["an unknown path is answered with 200", { method: "GET", target: "/nope" }, answer(200, [])],
  ] as const)("%s", async (_, request, response) => {
    expect(await checker.faults(request, response)).not.toEqual([]);
  });
});
