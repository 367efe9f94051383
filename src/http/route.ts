import type { z } from "zod";
import type { ProblemCode } from "../wire/problem.ts";
import type { Access, Principal } from "./access.ts";

export const METHODS = ["GET", "POST", "PATCH", "DELETE"] as const;
export type Method = (typeof METHODS)[number];

/** One method of one path: its function, its access, its limits, and its part of the OpenAPI document. */
export type Route = {
  readonly id: string;
  readonly summary: string;
  /** Beyond the summary. */
  readonly description?: string;
  readonly access: Access;
  readonly query?: z.ZodObject;
  /** The body that the route reads. Without it the body of a request is dropped unread. */
  readonly body?: BodyRule;
  /** The request headers that the route reads, by name. */
  readonly requestHeaders?: Readonly<Record<string, z.ZodType>>;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Beyond those of all routes and, if there is a body, those of bodies. */
  readonly problems: readonly ProblemCode[];
  readonly run: (call: Call) => Response | Promise<Response>;
};

/** Which body a route reads, and the limits of that body. */
export type BodyRule = {
  /**
   * The schema in the OpenAPI document; null if the document shows no body although an empty one is accepted.
   */
  readonly schema: z.ZodType | null;
  readonly accepts: ReadonlySet<string>;
  readonly atMostBytes: number;
};

/** An answer of a route that is no refusal. */
export type Answer = {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** The media type of the body; JSON unless given. */
  readonly mediaType?: string;
  readonly headers?: Readonly<Record<string, z.ZodType>>;
};

/** The request's headers as a plain object: one native call instead of one for each header that is read. */
export type RequestHeaders = Readonly<Record<string, string | undefined>>;

/** A request to a route. */
export type Call = {
  readonly route: Route;
  readonly request: Request;
  readonly headers: RequestHeaders;
  readonly params: Readonly<Record<string, string>>;
  readonly principal: Principal;
  readonly requestId: string;
  readonly reply: Reply;
  /** Closes the connection of a client that reads nothing more of its answer. */
  readonly cut: () => void;
};

/**
 * Answers with JSON (unless the headers name another type), or without a body. The headers are added to those
 * of all answers, or replace them.
 */
export type Reply = (
  status: number,
  body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null,
  headers?: Readonly<Record<string, string>>,
) => Response;

export type Methods = Readonly<Partial<Record<Method, Route>>>;
export type Routes = Readonly<Record<string, Methods>>;
