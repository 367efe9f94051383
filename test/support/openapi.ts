import Ajv2020, { type ValidateFunction } from "ajv/dist/2020";

type Json = Readonly<Record<string, unknown>>;

type Schemed = { readonly schema?: Json };
type Answer = {
  readonly description: string;
  readonly headers?: Readonly<Record<string, Schemed>>;
  readonly content?: Readonly<Record<string, Schemed>>;
};
type Parameter = {
  readonly name: string;
  readonly in: string;
  readonly description?: string;
  readonly required?: boolean;
  readonly schema: Json;
};
export type Operation = {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Schemed>> };
  readonly responses: Readonly<Record<string, Answer>>;
};
type PathItem = { readonly parameters?: readonly Parameter[] } & Readonly<
  Record<string, Operation | undefined>
>;

/** The parts of an OpenAPI document that are used here. */
export type OpenApiDocument = {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly security: readonly Json[];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, PathItem>>;
  readonly components: { readonly schemas: Readonly<Record<string, Json>> };
};

export interface OpenApiChecker {
  /** The violations of the document by this answer. Reads the answer's body. */
  faults(
    request: { readonly method: string; readonly target: string },
    response: Response,
  ): Promise<string[]>;
  /** Throws if this is no JSON Schema. */
  compile(schema: Json): ValidateFunction;
}

const OPERATION_KEYS = ["get", "post", "patch", "delete"] as const;

/** Each operation with its path and method. */
export const operationsOf = (document: OpenApiDocument) =>
  Object.entries(document.paths).flatMap(([path, item]) =>
    OPERATION_KEYS.flatMap((method) => {
      const operation = item[method];
      return operation === undefined ? [] : [{ path, method: method.toUpperCase(), operation }];
    }),
  );

/** An answer to a method or a path that the document does not have can only be a refusal. */
const REFUSALS: Readonly<Record<string, Answer>> = Object.fromEntries(
  ["400", "403", "404", "405", "414", "431", "503"].map((status) => [
    status,
    {
      description: "refused",
      content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
    },
  ]),
);
const OPTIONS_ANSWERS: Readonly<Record<string, Answer>> = { ...REFUSALS, "204": { description: "Allow" } };

export function createOpenApiChecker(document: OpenApiDocument): OpenApiChecker {
  const ajv = new Ajv2020({ strict: true, allErrors: true, validateFormats: false });
  ajv.addVocabulary(["components"]);
  ajv.addSchema({ components: inDocument(document.components, "as-it-is") }, "as-it-is");
  ajv.addSchema({ components: inDocument(closed(document.components), "closed") }, "closed");
  const compiled = new Map<string, ValidateFunction>();
  const paths = Object.keys(document.paths).map((path) => ({ path, matches: pathPattern(path) }));

  const compile = (schema: Json): ValidateFunction => compileOnce(inDocument(schema, "as-it-is"));

  /** The document allows answers to have other fields, for later versions; this server has none yet. */
  const compileAnswer = (schema: Json): ValidateFunction => compileOnce(inDocument(closed(schema), "closed"));

  /** Most schemas occur in many places of a document. */
  function compileOnce(schema: Json): ValidateFunction {
    const text = JSON.stringify(schema);
    const validate = compiled.get(text) ?? ajv.compile(schema);
    compiled.set(text, validate);
    return validate;
  }

  function answersTo(method: string, target: string): Readonly<Record<string, Answer>> {
    const [pathname = ""] = target.split("?");
    const known = paths.find(({ matches }) => matches.test(pathname));
    const item = known === undefined ? undefined : document.paths[known.path];
    if (item !== undefined && method === "OPTIONS") return OPTIONS_ANSWERS;
    const key = method === "HEAD" ? "get" : method.toLowerCase();
    return item?.[key]?.responses ?? REFUSALS;
  }

  async function faults(
    { method, target }: { readonly method: string; readonly target: string },
    response: Response,
  ): Promise<string[]> {
    const answer = answersTo(method, target)[response.status];
    if (answer === undefined) return [`the status ${response.status} is not documented`];
    const missing = response.headers.get("x-request-id") === null ? ["there is no X-Request-Id"] : [];
    const body = await response.text();
    const type = response.headers.get("content-type");
    if (method === "HEAD" || answer.content === undefined) {
      return body === "" ? missing : [...missing, `there should be no body, but there is ${body}`];
    }
    const schema = answer.content[type ?? ""]?.schema;
    if (schema === undefined) return [...missing, `the content type ${type} is not documented`];
    const validate = compileAnswer(schema);
    if (validate(parse(body))) return missing;
    return [...missing, ...(validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`)];
  }

  return { faults, compile };
}

/** The same schema without additional fields in any object. */
const closed = (value: Json): Json =>
  mapObjects(value, (part) =>
    part.type === "object" && !("additionalProperties" in part)
      ? { ...part, additionalProperties: false }
      : part,
  );

/** The same schema, with references to components of the document that the validator has under this name. */
const inDocument = (value: Json, name: string): Json =>
  mapObjects(value, (part) => (typeof part.$ref === "string" ? { ...part, $ref: name + part.$ref } : part));

/** Replaces each object, the innermost first. */
function mapObjects(value: Json, change: (part: Json) => Json): Json {
  const mapped = (part: unknown): unknown => {
    if (Array.isArray(part)) return part.map(mapped);
    return typeof part === "object" && part !== null ? mapObjects(part as Json, change) : part; // JSON has no other objects
  };
  return change(Object.fromEntries(Object.entries(value).map(([key, part]) => [key, mapped(part)])));
}

const pathPattern = (path: string): RegExp => new RegExp(`^${path.replace(/\{\w+\}/g, "[^/]+")}/?$`);

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined; // which no schema accepts
  }
}

export async function fetchOpenApi(url: string): Promise<OpenApiDocument> {
  const response = await fetch(`${url}/openapi.json`);
  return (await response.json()) as OpenApiDocument; // its shape is what openapi.test.ts shows
}
