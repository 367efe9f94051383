/** The headers that requests and answers may have, as the OpenAPI document describes them. */
import { z } from "zod";

const header = (description: string, example: string) =>
  z.string().meta({ description, examples: [example] });

// ---- of requests

export const IF_MATCH = z
  .string()
  .min(1)
  .meta({
    description:
      'Only while the task has this version, such as `"v7"`; else 412. What a compressing proxy makes of a tag (`W/"v7"`, `"v7-gzip"`) names the same version',
    examples: ['"v7"'],
  });
export const IF_NONE_MATCH = header(
  "304 where the task still has this version, also by the tag that a compressing proxy made of it, and does not run",
  '"v7"',
);
export const IDEMPOTENCY_KEY = z
  .string()
  .regex(/^[ -~]{1,255}$/)
  .meta({
    description:
      "The same body, byte for byte, under the same key, within 24 hours, gets the first answer again; another body is a 422",
    examples: ["8e03978e-40d5-43dd-bc93-6894a57f9324"],
  });
export const STEP_KEY = z
  .string()
  .regex(/^[ -~]{1,255}$/)
  .meta({
    description:
      "The same call under the same key, within 24 hours, is carried out once: it gets the status of the first answer again, with the task as it is now. Another body is a 422. A refused call is judged anew",
    examples: ["5f0ca8d1-93a4-4d6b-a6a8-3c1a6f0a7c1e"],
  });
export const PREFER_WAIT = header(
  "`wait=30`: answer when the task has ended, or after so many seconds, 45 at most; `Preference-Applied` names them. For one task",
  "wait=30",
);
export const PREFER_COUNT = header(
  "`count=exact`: how many there are, in X-Total-Count; not with `q`",
  "count=exact",
);
export const LAST_EVENT_ID = header(
  "The `id` of the last event that the client has seen: the stream goes on behind it",
  "NDI6bWVtb3J5",
);

// ---- of answers

export const REQUEST_ID = header("The id under which the server's log speaks of this request", "3b1e3218-d");
export const ETAG = header("The task's version; it names no bytes", '"v7"');
export const LOCATION = header("The path of the task, where it is one", "/api/task/1");
export const IDEMPOTENT_REPLAYED = header("`true` where it is the answer to an earlier request", "true");
export const PREFERENCE_APPLIED = header("The part of `Prefer` that was heeded", "wait=30");
export const LINK = header(
  'With `limit`, while there may be more: the next page, `rel="next"`; a page may be short or empty then, and ends at about 8 MiB',
  '</api/task?limit=100&cursor=aWQ6MTAw>; rel="next"',
);
export const TOTAL_COUNT = z
  .int()
  .min(0)
  .meta({ description: "How many tasks the filter takes, where that was asked for" });
export const ALLOW = header("The methods that the path takes", "GET, HEAD, OPTIONS");
export const RETRY_AFTER = z
  .int()
  .min(0)
  .max(86_400)
  .meta({ description: "Try again after so many seconds" });
