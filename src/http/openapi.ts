import { z } from "zod";
import { FIELD_FAULTS_LISTED } from "../core/error.ts";
import { PROBLEM_STATUS, type ProblemCode } from "../wire/problem.ts";
import { FaultAnswer, taskId } from "../wire/shared-schemas.ts";
import { replyCompressed } from "./compression.ts";
import { ALLOW, REQUEST_ID, RETRY_AFTER } from "./header-schemas.ts";
import { type Answer, METHODS, type Method, type Methods, type Route, type Routes } from "./route.ts";

const PROBLEM_CODES = Object.keys(PROBLEM_STATUS) as [ProblemCode, ...ProblemCode[]]; // never empty

const ProblemAnswer = z
  .object({
    error: z.string().meta({ description: "The same as `detail`, under its name in the first version" }),
    type: z.string().meta({ description: "Always `about:blank`: `code` identifies the problem" }),
    title: z.string().meta({ description: "The name of the HTTP status", examples: ["Not Found"] }),
    status: z.int().min(400).max(599).meta({ description: "The HTTP status" }),
    detail: z.string().meta({ description: "The message, for people", examples: ["Task not found"] }),
    code: z.enum(PROBLEM_CODES).meta({
      id: "ProblemCode",
      description: "Why the request was refused. Codes are stable",
    }),
    request_id: z.string().meta({ description: "The id of the request, as in X-Request-Id" }),
    errors: z
      .array(FaultAnswer)
      .max(FIELD_FAULTS_LISTED)
      .optional()
      .meta({ description: "The invalid fields" }),
    errors_omitted: z
      .int()
      .min(1)
      .optional()
      .meta({ description: "How many invalid fields `errors` leaves out" }),
  })
  .meta({ id: "Problem", description: "A refusal by RFC 9457, with `error`, the message, in addition" });

/** Problems that the request of any route may be answered with. */
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

/** Any path may be requested with a method that it does not have. */
const EVERY_PATH: readonly ProblemCode[] = ["method_not_allowed"];

/** Problems of routes that read a body. */
const BODY_PROBLEMS: readonly ProblemCode[] = ["malformed_body", "body_too_large", "unsupported_media_type"];

type Json = Record<string, unknown>;

/** The routes of one tag. Generators of clients make one class or module of each tag. */
export type Section = { readonly tag: string; readonly description: string; readonly routes: Routes };

const OpenApiAnswer = z
  .looseObject({ openapi: z.string().meta({ description: "The version of OpenAPI", examples: ["3.1.0"] }) })
  .meta({ id: "OpenApiDocument", description: "An OpenAPI document" });

/** Answers with the document of these sections, which is made for the first request. */
export function createOpenApiRoute(sections: () => readonly Section[], version: string): Route {
  let text: string | null = null;
  return {
    id: "openapi",
    summary: "This document",
    access: "read",
    answers: { 200: { description: "OpenAPI 3.1", schema: OpenApiAnswer } },
    problems: [],
    run: (call) => {
      text ??= JSON.stringify(createOpenApi(sections(), version));
      return replyCompressed(call, text);
    },
  };
}

/** The OpenAPI 3.1 document of the route table. */
function createOpenApi(sections: readonly Section[], version: string): Json {
  const components = createComponents();
  const write = createWriter(components);
  const paths = sections.flatMap(({ tag, routes }) =>
    Object.entries(routes).map(([path, methods]) => [openPath(path), write.pathItem(path, methods, tag)]),
  );
  return {
    openapi: "3.1.0",
    info: {
      title: "TaskTrack",
      version,
      description: "Submit work that takes minutes, get an id at once, and ask for the outcome later.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/", description: "The server that this document comes from" }],
    security: [],
    tags: sections.map(({ tag, description }) => ({ name: tag, description })),
    paths: Object.fromEntries(paths),
    components: { schemas: components.all() },
  };
}

/** The path with its parameters as OpenAPI writes them: `{id}` for `:id`. */
const openPath = (path: string): string => path.replace(/:(\w+)/g, "{$1}");

const PATH_PARAMETERS: Readonly<Record<string, z.ZodType>> = {
  id: taskId,
  name: z
    .string()
    .min(1)
    .meta({ description: "The name of a worker", examples: ["gpu-1"] }),
};

type Components = ReturnType<typeof createComponents>;

function createWriter(components: Components) {
  function pathItem(path: string, methods: Methods, tag: string): Json {
    const parameters = [...path.matchAll(/:(\w+)/g)].map(([, name = ""]) =>
      parameter({ name, in: "path", required: true }, PATH_PARAMETERS[name] ?? z.string()),
    );
    const operations = METHODS.flatMap((method) => {
      const route = methods[method];
      return route === undefined ? [] : [[method.toLowerCase(), operation(method, route, tag)] as const];
    });
    return { ...(parameters.length > 0 ? { parameters } : {}), ...Object.fromEntries(operations) };
  }

  function operation(method: Method, route: Route, tag: string): Json {
    const refusals = [
      ...ALWAYS,
      ...EVERY_PATH,
      ...(route.body === undefined ? [] : BODY_PROBLEMS),
      ...route.problems,
      ...(method === "GET" ? [] : ["forbidden_origin" as const]),
    ];
    return {
      operationId: route.id,
      tags: [tag],
      summary: route.summary,
      ...(route.description === undefined ? {} : { description: route.description }),
      ...parametersOf(route),
      ...(route.body?.schema ? { requestBody: requestBody(route.body.schema) } : {}),
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
      ...Object.entries(query?.shape ?? {}).map(
        ([name, schema]) =>
          parameter({ name, in: "query", required: false, explode: true }, schema as z.ZodType), // a shape holds schemas
      ),
      ...Object.entries(requestHeaders).map(([name, schema]) =>
        parameter({ name, in: "header", required: false }, schema),
      ),
    ];
    return parameters.length === 0 ? {} : { parameters };
  }

  const parameter = (place: Json, schema: z.ZodType): Json => ({ ...place, ...described(schema, "input") });

  /** Tools look for the description beside the schema. */
  function described(schema: z.ZodType, io: Direction): Json {
    const { description, ...rest } = components.schemaOf(schema, io);
    return { ...(description === undefined ? {} : { description }), schema: rest };
  }

  /**
   * Merge-patch is accepted as well. It is not named here, because generators would then send the first or
   * the last type, not JSON.
   */
  const requestBody = (body: z.ZodType): Json => ({
    required: true,
    content: { "application/json": { schema: components.schemaOf(body, "input") } },
  });

  const response = ({ description, schema, mediaType = "application/json", headers }: Answer): Json => ({
    description,
    headers: headerObjects({ "X-Request-Id": REQUEST_ID, ...headers }),
    ...(schema === undefined
      ? {}
      : { content: { [mediaType]: { schema: components.schemaOf(schema, "output") } } }),
  });

  const headerObjects = (headers: Readonly<Record<string, z.ZodType>>): Json =>
    Object.fromEntries(Object.entries(headers).map(([name, schema]) => [name, described(schema, "output")]));

  /** An entry for each status, which names its codes. */
  function problemResponses(codes: readonly ProblemCode[]): Json {
    const byStatus = Map.groupBy(new Set(codes), (code) => PROBLEM_STATUS[code]);
    return Object.fromEntries([...byStatus].map(([status, ofStatus]) => [status, problem(status, ofStatus)]));
  }

  const problem = (status: number, codes: readonly ProblemCode[]): Json =>
    response({
      description: `code: ${codes.join(", ")}`,
      schema: ProblemAnswer,
      mediaType: "application/problem+json",
      headers: PROBLEM_HEADERS[status] ?? {},
    });

  return { pathItem };
}

const PROBLEM_HEADERS: Readonly<Record<number, Readonly<Record<string, z.ZodType>>>> = {
  405: { Allow: ALLOW },
  503: { "Retry-After": RETRY_AFTER },
};

type Direction = "input" | "output";

/**
 * Writes schemas as JSON Schemas. A schema with an id becomes a named component, and its uses refer to the
 * component.
 */
function createComponents() {
  const named = new Map<string, Json>();

  function schemaOf(schema: z.ZodType, io: Direction): Json {
    const { $schema: _, $defs = {}, ...own } = jsonSchema(schema, io);
    for (const [name, definition] of Object.entries($defs as Readonly<Record<string, Json>>)) {
      add(name, definition);
    }
    return own;
  }

  /** A name has one meaning, in requests and in answers. */
  function add(name: string, definition: Json): void {
    const known = named.get(name);
    if (known !== undefined && !Bun.deepEquals(known, definition)) {
      throw new Error(`two schemas of the OpenAPI document have the name ${name}`);
    }
    named.set(name, definition);
  }

  const all = (): Json => Object.fromEntries([...named].sort(([a], [b]) => (a < b ? -1 : 1)));

  return { schemaOf, all };
}

function jsonSchema(schema: z.ZodType, io: Direction): Json {
  const made = z.toJSONSchema(schema, {
    io,
    target: "draft-2020-12",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema: json }) => fitForGenerators(json, zodSchema, io),
  });
  return JSON.parse(JSON.stringify(made).replaceAll('"#/$defs/', '"#/components/schemas/'));
}

const INT32 = 2 ** 31;

/** Changes the JSON Schema of zod into one that generators of clients understand. */
function fitForGenerators(json: z.core.JSONSchema.BaseSchema, schema: z.core.$ZodType, io: Direction): void {
  if (json.$ref !== undefined) {
    // The referenced schema has the properties: here the keyword would reject all of them.
    delete json.additionalProperties;
    return;
  }
  // A later version may add fields to answers, and a generated client must accept them.
  if (io === "output" && json.additionalProperties === false) delete json.additionalProperties;
  // Zod omits the examples of transformed schemas, because it cannot know whether they show the value before
  // or after. Ours show the JSON that is sent.
  const { examples } = z.globalRegistry.get(schema) ?? {};
  if (Array.isArray(examples)) json.examples = examples;
  if (json.type === "number") json.format = "double";
  if (json.type === "integer") fitInteger(json);
  if (json.format === "date-time") delete json.pattern; // a long pattern that repeats what the format means
}

/** Without a format, generators for Go, Java and Rust take 32 bits. */
function fitInteger(json: z.core.JSONSchema.BaseSchema): void {
  delete json.pattern; // it describes the text of a query parameter, not the number
  const { minimum = -Infinity, maximum = Infinity } = json;
  if (minimum <= Number.MIN_SAFE_INTEGER) delete json.minimum;
  if (minimum < -INT32 || maximum >= INT32) json.format = "int64";
}
