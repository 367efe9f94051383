/** Opens the files of the web UI: embedded in the single-file executable, or built from the folder web/. */
import { join } from "node:path";
import { type UiFiles, unpack } from "./archive.ts";

/** The name of the archive in the executable. The compiler may add a hash to it. */
const CARRIED = /(^|\/)web-ui[^/]*\.bin$/;
/** Null in an executable, which has no folder web/. */
const BUILDER = /\/\$bunfs\/|~BUN/.test(import.meta.url) ? null : join(import.meta.dir, "../../web/build.ts");

/**
 * The files, opened at the first call and kept. Calls during that time wait for the same result; after a
 * failure the next call tries again. The files are not opened earlier, because most processes never show the
 * UI and a start must not wait for it.
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

/** Bun gives embedded files a name, which the type of Blob lacks. */
const carriedArchive = (): Blob | undefined =>
  Bun.embeddedFiles.find((file) => "name" in file && CARRIED.test(String(file.name)));

/**
 * In a separate process: bundling and compression block the event loop for a second, and the process would keep
 * their memory.
 */
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
