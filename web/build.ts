/**
 * Builds the web UI into one archive (src/ui/archive.ts). As a program it writes the archive to stdout, from node_modules/.cache if
 * no source has changed since the last build. `npm start` runs it at the first visit.
 */
import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { pack, type UiFile } from "../src/ui/archive.ts";

const ROOT = join(import.meta.dir, "..");
const WEB = join(ROOT, "web");
/** The source folders of the bundle. The lock file represents the packages. */
const SOURCES = ["web", "src/client", "src/core", "src/lib", "src/processor", "src/ui"];
const CACHE = join(ROOT, "node_modules/.cache/tasktrack");
/** Quality 9 takes 0.2 s for all files; 11 takes 2 s and saves 5 % of the size. */
const BROTLI_QUALITY = 9;

/** Builds the archive without the cache. */
export async function buildWeb(): Promise<Uint8Array<ArrayBuffer>> {
  const built = await Bun.build({
    entrypoints: ["main.tsx", "styles.css"].map((name) => join(WEB, name)),
    target: "browser",
    format: "esm",
    splitting: true,
    minify: true,
    naming: { entry: "[name]-[hash].[ext]", chunk: "[name]-[hash].[ext]", asset: "[name]-[hash].[ext]" },
    publicPath: "/assets/",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  if (!built.success) throw new Error(built.logs.join("\n"));
  const bundles = built.outputs.map((output) => toFile(nameOf(output.path), output));
  const assets = await Promise.all([...bundles, icon()]);
  const names = assets.map(({ name }) => name);
  return pack([...assets, await toFile("index.html", new Blob([await page(names)]))]);
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

async function icon(): Promise<UiFile> {
  const content = Bun.file(join(WEB, "favicon.svg"));
  return toFile(`favicon-${hashOf([await content.text()])}.svg`, content);
}

async function page(names: readonly string[]): Promise<string> {
  const template = await Bun.file(join(WEB, "index.html")).text();
  return template.replace(/\/assets\/(\w+)\.(js|css|svg)/g, (_, stem: string, ending: string) => {
    const built = names.find((name) => name.startsWith(`${stem}-`) && name.endsWith(`.${ending}`));
    if (built === undefined) throw new Error(`index.html names ${stem}.${ending}, which was not built`);
    return `/assets/${built}`;
  });
}

async function toFile(name: string, content: Blob): Promise<UiFile> {
  const identity = new Uint8Array(await content.arrayBuffer());
  const br = brotliCompressSync(identity, { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } });
  const gzip = gzipSync(identity, { level: 9 });
  return {
    name,
    type: typeOf(name),
    hash: hashOf([identity]),
    contents: { br: new Uint8Array(br), gzip: new Uint8Array(gzip), identity },
  };
}

function typeOf(name: string): string {
  if (name.endsWith(".html")) return "text/html; charset=utf-8";
  if (name.endsWith(".js")) return "text/javascript; charset=utf-8";
  if (name.endsWith(".css")) return "text/css; charset=utf-8";
  if (name.endsWith(".svg")) return "image/svg+xml";
  throw new Error(`no media type is known for ${name}`);
}

const hashOf = (parts: readonly (Uint8Array | string)[]): string => {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const part of parts) hasher.update(part);
  return hasher.digest("base64url").slice(0, 16);
};

// ---- the cache

/** The archive of the current sources, from the cache if possible. */
async function cachedOrBuilt(): Promise<Uint8Array<ArrayBuffer>> {
  const path = join(CACHE, `web-${await sourcesHash()}.bin`);
  const cached = Bun.file(path);
  if (await cached.exists()) return new Uint8Array(await cached.arrayBuffer());
  const archive = await buildWeb();
  await keep(path, archive).catch((error: unknown) => {
    if (!isReadOnly(error)) throw error; // without write permission each start builds again
  });
  return archive;
}

async function sourcesHash(): Promise<string> {
  const found = await Promise.all(
    SOURCES.map((folder) => readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })),
  );
  const files = found.flat().filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort();
  const read = [...paths, join(ROOT, "package-lock.json")].map(async (path) => [
    path.slice(ROOT.length),
    await Bun.file(path).text(),
  ]);
  return hashOf([Bun.version, ...(await Promise.all(read)).flat()]);
}

/** Writes under a temporary name first, so that no other process reads a partial file. */
async function keep(path: string, archive: Uint8Array): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const draft = `${path}.${process.pid}`;
  await Bun.write(draft, archive);
  await rename(draft, path);
}

const isReadOnly = (error: unknown): boolean =>
  error instanceof Error &&
  "code" in error &&
  ["EACCES", "EPERM", "EROFS", "ENOSPC"].includes(String(error.code));

if (import.meta.main) await Bun.write(Bun.stdout, await cachedOrBuilt());
