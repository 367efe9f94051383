import { z } from "zod";
import { FIELD_FAULTS_LISTED } from "../core/error.ts";
import { PROBLEM_STATUS, type ProblemCode } from "./errors.ts";
import { type Answer, METHODS, type Method, type Route, type Routes } from "./route.ts";

const ProblemAnswer = z
  .object({
    error: z.string(),
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(Object.keys(PROBLEM_STATUS) as [ProblemCode, ...ProblemCode[]]), // never empty
    request_id: z.string(),
    errors: z
      .array(z.object({ pointer: z.string(), detail: z.string() }))
      .max(FIELD_FAULTS_LISTED)
      .optional(),
    errors_omitted: z
      .int()
      .min(1)
      .optional()
      .meta({ description: "How many more fields are at fault than `errors` lists" }),
  })
  .meta({ description: "RFC 9457, and `error`: the message alone" });

/** What any request may be answered with, whatever its route. */
const ALWAYS: readonly ProblemCode[] = [
  "invalid",
  "bad_host",
  "forbidden_host",
  "uri_too_long",
  "headers_too_large",
  "internal",
  "overloaded",
  "store_unavailable",
];

/** Every method with its own status; a path may also be asked with a method it does not have. */
const EVERY_PATH: readonly ProblemCode[] = ["method_not_allowed"];

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document of the route table. */
export function createOpenApi(routes: Routes, version: string): Json {
  return {
    openapi: "3.1.0",
    info: {
      title: "TaskTrack",
      version,
      description: "Submit work that takes minutes, get an id at once, ask later how it went.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    paths: Object.fromEntries(
      Object.entries(routes).map(([path, methods]) => [openPath(path), pathItem(path, methods)]),
    ),
    components: { schemas: { Problem: jsonSchema(ProblemAnswer, "output") } },
  };
}

/** `:id` as OpenAPI writes it. */
const openPath = (path: string): string => path.replace(/:(\w+)/g, "{$1}");

function pathItem(path: string, methods: Partial<Record<Method, Route>>): Json {
  const parameters = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema:
      name === "id"
        ? { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER }
        : { type: "string", minLength: 1 },
  }));
  const operations = METHODS.flatMap((method) => {
    const route = methods[method];
    return route === undefined ? [] : [[method.toLowerCase(), operation(method, route)] as const];
  });
  return { ...(parameters.length > 0 ? { parameters } : {}), ...Object.fromEntries(operations) };
}

function operation(method: Method, route: Route): Json {
  const refusals = [
    ...ALWAYS,
    ...EVERY_PATH,
    ...route.problems,
    ...(method === "GET" ? [] : ["forbidden_origin" as const]),
  ];
  return {
    operationId: route.id,
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    ...parametersOf(route),
    ...(route.body === undefined
      ? {}
      : { requestBody: requestBody(route.body, route.isBodyOptional !== true) }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.answers).map(([status, answer]) => [status, response(answer)]),
      ),
      ...problemResponses(refusals),
    },
  };
}

function parametersOf({ query, requestHeaders = {} }: Route): Json {
  const parameters = [
    ...(query === undefined ? [] : queryParameters(query)),
    ...Object.entries(requestHeaders).map(([name, description]) => ({
      name,
      in: "header",
      required: false,
      description,
      schema: { type: "string" },
    })),
  ];
  return parameters.length === 0 ? {} : { parameters };
}

const queryParameters = (query: z.ZodObject): Json[] =>
  Object.entries(query.shape).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    explode: true,
    schema: jsonSchema(schema as z.ZodType, "input"), // a shape holds schemas
  }));

function requestBody(body: z.ZodType, required: boolean): Json {
  const schema = jsonSchema(body, "input");
  return {
    required,
    content: { "application/json": { schema }, "application/merge-patch+json": { schema } },
  };
}

const response = ({ description, schema, mediaType = "application/json", headers }: Answer): Json => ({
  description,
  headers: headerObjects({
    "X-Request-Id": "The id under which the server's log speaks of this request",
    ...headers,
  }),
  ...(schema === undefined ? {} : { content: { [mediaType]: { schema: jsonSchema(schema, "output") } } }),
});

const headerObjects = (headers: Readonly<Record<string, string>>): Json =>
  Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [name, { description, schema: { type: "string" } }]),
  );

/** One entry a status, naming its codes. */
function problemResponses(codes: readonly ProblemCode[]): Json {
  const byStatus = Map.groupBy(new Set(codes), (code) => PROBLEM_STATUS[code]);
  return Object.fromEntries(
    [...byStatus].map(([status, ofStatus]) => [
      status,
      {
        description: `code: ${ofStatus.join(", ")}`,
        content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
      },
    ]),
  );
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    target: "draft-2020-12",
    unrepresentable: "any",
    override: ({ jsonSchema: made }) => {
      if (made.type === "integer") delete made.pattern; // of the text it was parsed from
    },
  });
  return rest;
}
