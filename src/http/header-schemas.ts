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
      'The call has an effect only while the task has this version, such as `"v7"`; else 412. The tags of compressing proxies (`W/"v7"`, `"v7-gzip"`) mean the same version',
    examples: ['"v7"'],
  });
export const IF_NONE_MATCH = header(
  "304 if the task still has this version and is not running. The tags of compressing proxies mean the same version",
  '"v7"',
);
export const IDEMPOTENCY_KEY = z
  .string()
  .regex(/^[ -~]{1,255}$/)
  .meta({
    description:
      "Within 24 hours, the same body, byte for byte, with the same key gets the first answer again; another body is answered with 422",
    examples: ["8e03978e-40d5-43dd-bc93-6894a57f9324"],
  });
export const STEP_KEY = z
  .string()
  .regex(/^[ -~]{1,255}$/)
  .meta({
    description:
      "Within 24 hours, the same call with the same key is carried out once: it gets the status of the first answer again, with the present state of the task. Another body is answered with 422. A call that was refused is tried again",
    examples: ["5f0ca8d1-93a4-4d6b-a6a8-3c1a6f0a7c1e"],
  });
export const PREFER_WAIT = header(
  "`wait=30`: answer when the task has ended, or after this many seconds, 45 at most, which `Preference-Applied` names. For a single task",
  "wait=30",
);
export const PREFER_COUNT = header(
  "`count=exact`: the number of all matching tasks in X-Total-Count; not with `q`",
  "count=exact",
);
export const LAST_EVENT_ID = header(
  "The `id` of the last event that the client received: the stream continues after it",
  "NDI6bWVtb3J5",
);

// ---- of answers

export const REQUEST_ID = header("The id of this request in the log of the server", "3b1e3218-d");
export const ETAG = header("The version of the task", '"v7"');
export const LOCATION = header("The path of the task, if one was created", "/api/task/1");
export const IDEMPOTENT_REPLAYED = header("`true` if this is the answer to an earlier request", "true");
export const PREFERENCE_APPLIED = header("The preference that was applied", "wait=30");
export const LINK = header(
  'With `limit`, while there may be more tasks: the next page, `rel="next"`. Such a page may be short or empty, and ends at about 8 MiB',
  '</api/task?limit=100&cursor=aWQ6MTAw>; rel="next"',
);
export const TOTAL_COUNT = z
  .int()
  .min(0)
  .meta({ description: "How many tasks match the filter, if that was asked for" });
export const ALLOW = header("The methods of the path", "GET, HEAD, OPTIONS");
export const RETRY_AFTER = z
  .int()
  .min(0)
  .max(86_400)
  .meta({ description: "Try again after this many seconds" });
