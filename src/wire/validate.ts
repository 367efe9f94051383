import type { z } from "zod";
import { TaskError } from "../core/error.ts";
import { faultsOf, sentenceOf } from "./faults.ts";

/** Checks a value against a schema. Throws `invalid` with the faults and their pointers. */
export function validate<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const faults = faultsOf(result.error.issues);
  throw new TaskError("invalid", sentenceOf(faults), faults.listed, faults.omitted);
}
