import { expect, test } from "bun:test";
import { pack, type UiFile, unpack } from "./archive.ts";

const bytes = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(new TextEncoder().encode(text));

const file = (name: string): UiFile => ({
  name,
  type: "text/html",
  hash: "h",
  contents: { br: bytes(`b ${name}`), gzip: bytes(""), identity: bytes(`plain: ${name} — é`) },
});

test("unpacking returns the packed files", () => {
  const files = [file("index.html"), file("main-1a.js")];
  expect([...unpack(pack(files)).values()]).toEqual(files);
});

test("a truncated archive is refused", () => {
  const archive = pack([file("index.html")]);
  expect(() => unpack(archive.slice(0, -1))).toThrow("ends after");
  expect(() => unpack(archive.slice(0, 3))).toThrow("ends after 3 bytes");
});
