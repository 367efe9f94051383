/** Where the web UI's files come from: carried inside the single-file executable, else built from the folder web/. */
import { join } from "node:path";
import { type UiFiles, unpack } from "./archive.ts";

/** The name under which the executable carries the archive; the compiler may add a hash to it. */
const CARRIED = /(^|\/)web-ui[^/]*\.bin$/;
/** Null inside an executable, where no folder lies beside this file. */
const BUILDER = /\/\$bunfs\/|~BUN/.test(import.meta.url) ? null : join(import.meta.dir, "../../web/build.ts");

/**
 * The files, found out at the first call and kept. All who ask meanwhile wait for the same answer; after a failure the next one
 * tries again. Nothing happens before: most processes never show the UI, and a start must not wait for it.
 */
export function createUiFiles(): () => Promise<UiFiles> {
  let files: Promise<UiFiles> | null = null;
  return () => {
    files ??= open().catch((error: unknown) => {
      files = null;
      throw error;
    });
    return files;
  };
}

async function open(): Promise<UiFiles> {
  const carried = carriedArchive();
  const archive = carried === undefined ? await build() : await carried.arrayBuffer();
  return unpack(new Uint8Array(archive));
}

/** The runtime gives each carried file its name, which the type of Blob does not know. */
const carriedArchive = (): Blob | undefined =>
  Bun.embeddedFiles.find((file) => "name" in file && CARRIED.test(String(file.name)));

/** In a process of its own: bundling and compression take the event loop for a second, and leave their memory behind. */
async function build(): Promise<ArrayBuffer> {
  if (BUILDER === null) throw new Error("this executable was made without the web UI");
  const builder = Bun.spawn([process.execPath, "--no-env-file", BUILDER], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: "" },
  });
  const [archive, words, code] = await Promise.all([
    new Response(builder.stdout).arrayBuffer(),
    new Response(builder.stderr).text(),
    builder.exited,
  ]);
  if (code !== 0) throw new Error(`the web UI's build ended with ${code}: ${words.trim()}`);
  return archive;
}
