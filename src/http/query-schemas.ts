import { z } from "zod";

/** A whole number in a query. */
export const wholeNumber = (least: number, most: number) =>
  z
    .string("must be given once")
    .regex(/^(0|[1-9]\d{0,15})$/, `must be a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((value) => value >= least && value <= most, `must be a whole number from ${least} to ${most}`)
    .meta({ type: "integer", minimum: least, maximum: most });
