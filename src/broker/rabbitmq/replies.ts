import type { Disposition } from "../disposition.ts";

/** What a consumer's callback answers to rabbitmq-client. */
export const replyOf = (disposition: Disposition): number => REPLIES[disposition];

const REPLIES: Record<Disposition, number> = { acknowledge: 0, return: 1 };
