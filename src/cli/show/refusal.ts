import type { TaskTrackError } from "../../client/client.ts";
import { harmless } from "./text.ts";

/**
 * What a refusal says, for a person: the server's sentence with its code and request id, then each field at fault on a line of
 * its own; or, where nobody answered, who did not and how to name another.
 * @param about what was asked for, such as "task 7", where that is not plain
 */
export function refusalLines(
  error: TaskTrackError,
  { url, about }: { readonly url: string; readonly about?: string },
): string[] {
  if (error.status === 0) {
    return [
      harmless(error.message),
      `  start a server by \`tasktrack serve\`, or name another by --url or TASKTRACK_URL (now ${harmless(url)})`,
    ];
  }
  const { code, requestId, fields, fieldsOmitted } = error;
  const where = requestId === null ? code : `${code}, request ${requestId}`;
  const sentence = fields.length === 0 ? error.message : "what was sent is not valid";
  return [
    `${about === undefined ? "" : `${about}: `}${harmless(sentence)} (${harmless(where)})`,
    ...fields.map(
      ({ pointer, detail }) => `  ${harmless(pointer.replace(/^\//, "") || "it")} ${harmless(detail)}`,
    ),
    ...(fieldsOmitted > 0 ? [`  and ${fieldsOmitted} more`] : []),
  ];
}
