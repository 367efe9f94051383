import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { PROBLEM_STATUS } from "../src/http/errors.ts";
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
  test("is one of version 3.1 and says whose it is", () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info).toMatchObject({
      title: "TaskTrack",
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    });
  });

  test("has the five verbs, the probes and itself", () => {
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

  test("documents what every request may be refused with", () => {
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

  /** A path's query parameters, and whether one of them takes a value. */
  const queryOf = (path: string) => {
    const parameters = document.paths[path]?.get?.parameters ?? [];
    const takes = (name: string, value: unknown): boolean => {
      const schema = parameters.find((parameter) => parameter.name === name)?.schema;
      return schema !== undefined && checker.compile(schema)(value) === true;
    };
    return { parameters, takes };
  };

  test("declares the parameters of events and waits with schemas that take what these take", () => {
    const { parameters, takes } = queryOf("/api/events");
    expect(parameters.map(({ name }) => name).toSorted()).toEqual(["status", "task", "type"]);
    expect([takes("task", [1, 2]), takes("task", [0]), takes("task", 1)]).toEqual([true, false, false]);
    expect([takes("type", ["a.b", "video.*", "*"]), takes("type", ["a b"])]).toEqual([true, false]);
    expect([takes("status", ["done"]), takes("status", ["weird"])]).toEqual([true, false]);
    expect(queryOf("/api/task/{id}").takes("wait", "30s")).toBe(true);
  });

  test("declares the list's parameters with schemas that take what the list takes", () => {
    const { parameters, takes } = queryOf("/api/task");
    expect(parameters.map(({ name }) => name).toSorted()).toEqual([
      "Prefer",
      "cursor",
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

  test("holds JSON Schemas of draft 2020-12 and nothing else, with examples that they take", () => {
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
    const problem = document.components.schemas.Problem as { properties: { code: { enum: string[] } } };
    expect(problem.properties.code.enum.toSorted()).toEqual(Object.keys(PROBLEM_STATUS).sort());
  });

  test("takes the bodies of the contract and no others", () => {
    const bodyOf = (path: string, method: "post" | "patch") =>
      checker.compile(document.paths[path]?.[method]?.requestBody?.content["application/json"]?.schema ?? {});
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
});

type WithExamples = { readonly examples: readonly unknown[] };

/** Every part of a schema, itself included, that shows examples. */
function partsWithExamples(schema: unknown): WithExamples[] {
  if (typeof schema !== "object" || schema === null) return [];
  const inside = Object.values(schema).flatMap(partsWithExamples);
  return "examples" in schema && Array.isArray(schema.examples)
    ? [schema as WithExamples, ...inside]
    : inside;
}

describe("an answer is found out by the document when", () => {
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

  test("it is right, by finding nothing", async () => {
    expect(await checker.faults(task, refusal(problem))).toEqual([]);
    expect(await checker.faults({ method: "GET", target: "/nope" }, refusal(problem))).toEqual([]);
    expect(await checker.faults({ ...task, method: "DELETE" }, answer(204, null))).toEqual([]);
    expect(await checker.faults(list, answer(200, []))).toEqual([]);
  });

  test.each([
    ["its status is not documented", task, answer(418, {})],
    ["its type is not documented", task, answer(404, problem)],
    ["its type is HTML", list, answer(200, [], "text/html")],
    ["its body is not of the schema", list, answer(200, [{ id: "1" }])],
    ["its body lacks a field", task, answer(200, { id: 1, name: "x", description: "", status: "done" })],
    ["its code is unknown", task, refusal({ ...problem, code: "oops" })],
    ["it lacks the member `error`", task, refusal({ ...problem, error: undefined })],
    ["it has no request id", list, Response.json([])],
    ["something is at an unknown path", { method: "GET", target: "/nope" }, answer(200, [])],
  ] as const)("%s", async (_, request, response) => {
    expect(await checker.faults(request, response)).not.toEqual([]);
  });
});
