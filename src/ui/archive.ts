/**
 * The built web UI as one sequence of bytes, for the single-file executable, the output of the build process,
 * and the cache: a length (4 bytes, big-endian), that many bytes of JSON, then the contents.
 */

/** The encodings of each file. A browser names the encodings that it accepts. */
export const ENCODINGS = ["br", "gzip", "identity"] as const;
export type Encoding = (typeof ENCODINGS)[number];

export type UiFile = {
  /** "index.html", or a name under /assets/. */
  readonly name: string;
  /** Its media type. */
  readonly type: string;
  /** The hash of its content, for the ETag. */
  readonly hash: string;
  readonly contents: Readonly<Record<Encoding, Uint8Array<ArrayBuffer>>>;
};

/** By name. */
export type UiFiles = ReadonlyMap<string, UiFile>;

type Entry = Pick<UiFile, "name" | "type" | "hash"> & { readonly bytes: Readonly<Record<Encoding, number>> };

const LENGTH_BYTES = 4;

export function pack(files: readonly UiFile[]): Uint8Array<ArrayBuffer> {
  const entries: Entry[] = files.map(({ name, type, hash, contents }) => ({
    ...{ name, type, hash },
    bytes: {
      br: contents.br.length,
      gzip: contents.gzip.length,
      identity: contents.identity.length,
    },
  }));
  const head = new TextEncoder().encode(JSON.stringify(entries));
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, head.length);
  const contents = files.flatMap((file) => ENCODINGS.map((encoding) => file.contents[encoding]));
  return joined([length, head, ...contents]);
}

/** Throws for bytes that `pack` did not make. */
export function unpack(archive: Uint8Array<ArrayBuffer>): UiFiles {
  let at = 0;
  const take = (bytes: number): Uint8Array<ArrayBuffer> => {
    if (at + bytes > archive.length)
      throw new Error(`the web UI's archive ends after ${archive.length} bytes`);
    at += bytes;
    return archive.subarray(at - bytes, at);
  };
  const length = take(LENGTH_BYTES);
  const head = take(new DataView(length.buffer, length.byteOffset).getUint32(0));
  const entries = JSON.parse(new TextDecoder().decode(head)) as readonly Entry[]; // written by `pack`
  return new Map(
    entries.map(({ name, type, hash, bytes }) => {
      const contents = { br: take(bytes.br), gzip: take(bytes.gzip), identity: take(bytes.identity) };
      return [name, { name, type, hash, contents }];
    }),
  );
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
