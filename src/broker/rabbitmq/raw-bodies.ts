import type { Channel, Connection } from "rabbitmq-client";

/**
 * A connection whose channels bring each body as the bytes that were sent. The client parses what calls itself JSON and decodes what
 * calls itself text before it hands a message over, whatever its length and depth: numbers of more than 15 digits came out changed,
 * bytes that are not UTF-8 as U+FFFD, and JSON nested a hundred thousand levels deep could not be written again. There is no
 * option for it, but it goes by the content type alone.
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
