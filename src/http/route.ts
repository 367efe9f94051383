import type { z } from "zod";
import type { ProblemCode } from "../wire/problem.ts";
import type { RequestHeaders } from "./guard.ts";

export const METHODS = ["GET", "POST", "PATCH", "DELETE"] as const;
export type Method = (typeof METHODS)[number];

/** One verb on one path: what it does, and all that the OpenAPI document says of it. */
export type Route = {
  readonly id: string;
  readonly summary: string;
  /** What a client must know beside it. */
  readonly description?: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** The request headers that the route reads, by name. */
  readonly requestHeaders?: Readonly<Record<string, z.ZodType>>;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Beside what every route may refuse. */
  readonly problems: readonly ProblemCode[];
  readonly run: (call: Call) => Response | Promise<Response>;
};

/** What a route answers with when it does not refuse. */
export type Answer = {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** Of the body that has a schema; JSON unless it is said. */
  readonly mediaType?: string;
  readonly headers?: Readonly<Record<string, z.ZodType>>;
};

/** A request that has passed the guard. */
export type Call = {
  readonly request: Request;
  readonly headers: RequestHeaders;
  readonly params: Readonly<Record<string, string>>;
  readonly requestId: string;
  readonly reply: Reply;
  /** Closes the connection of a client that takes nothing more of its answer. */
  readonly cut: () => void;
};

/** Answers with JSON (unless the headers name another type) or with no body; these headers join or replace those of every answer. */
export type Reply = (
  status: number,
  body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null,
  headers?: Readonly<Record<string, string>>,
) => Response;

export type Routes = Readonly<Record<string, Partial<Record<Method, Route>>>>;
