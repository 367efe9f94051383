import type { TaskTrackError } from "../../client/client.ts";
import { harmless } from "./text.ts";

/**
 * An error of the server for people: its sentence with code and request id, then a line for each invalid
 * field. If the server did not answer, it names the address of the server and the flag for another address.
 * @param about the subject, such as "task 7", if it is not clear from the command
 */
export function refusalLines(
  error: TaskTrackError,
  { url, about }: { readonly url: string; readonly about?: string },
): string[] {
  if (error.status === 0) {
    return [
      harmless(error.message),
      `  start a server with \`tasktrack serve\`, or give another address with --url or TASKTRACK_URL (now ${harmless(url)})`,
    ];
  }
  const { code, requestId, fields, fieldsOmitted } = error;
  const where = requestId === null ? code : `${code}, request ${requestId}`;
  const sentence = fields.length === 0 ? error.message : "the request is not valid";
  return [
    `${about === undefined ? "" : `${about}: `}${harmless(sentence)} (${harmless(where)})`,
    ...fields.map(
      ({ pointer, detail }) => `  ${harmless(pointer.replace(/^\//, "") || "it")} ${harmless(detail)}`,
    ),
    ...(fieldsOmitted > 0 ? [`  and ${fieldsOmitted} more`] : []),
  ];
}
