import type { Channel, Connection } from "rabbitmq-client";

/**
 * A connection whose channels deliver each body as the bytes that were sent. The client parses bodies whose content type is JSON
 * and decodes those whose content type is text, whatever their length and depth, and has no option to turn that off: numbers of
 * more than 15 digits were changed, bytes that are not UTF-8 became U+FFFD, and JSON with a hundred thousand levels could not be
 * written again. The client decides by the content type alone, so the content type is hidden from it.
 */
export function withRawBodies(connection: Connection): Pick<Connection, "createConsumer"> {
  const acquire: Connection["acquire"] = async (options) =>
    withoutContentType(await connection.acquire(options));
  return Object.assign(Object.create(connection) as Connection, { acquire });
}

type Header = { readonly fields: Readonly<Record<string, unknown>> };

function withoutContentType(channel: Channel): Channel {
  const inner = channel as unknown as { _onHeader?: (header: Header) => void }; // not in its types
  const onHeader = inner._onHeader?.bind(channel);
  if (onHeader === undefined) throw new Error("this version of rabbitmq-client is not known to TaskTrack");
  inner._onHeader = (header) => onHeader({ ...header, fields: { ...header.fields, contentType: undefined } });
  return channel;
}
