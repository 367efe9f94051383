/**
 * Compresses a file of any size with constant memory: the work of type "file.compress". Its progress is counted in bytes. The file at
 * `output` is always complete: it is written under another name beside it, and removed when the task fails or is stopped.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createBrotliCompress, createGzip, createZstdCompress } from "node:zlib";
import { fail, type Handler } from "tasktrack/handlers";

type Job = { readonly input: string; readonly output: string; readonly format: keyof typeof FORMATS };

const FORMATS = {
  gzip: () => createGzip(),
  // 11, the default, takes minutes instead of seconds, and saves only a tenth.
  brotli: () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
  zstd: () => createZstdCompress(),
};

/** Payload: `{ "input": PATH, "output": PATH, "format": "gzip" | "brotli" | "zstd" }`. The default format is gzip. */
export const compress: Handler = async (task, { signal, progress, log }) => {
  const job = jobOf(task.payload);
  if (job === null) {
    return fail('expected {"input": path, "output": path, "format"?: "gzip" | "brotli" | "zstd"}', {
      ...{ code: "bad_payload", retryable: false },
    });
  }
  const { input, output, format } = job;
  const { size } = await stat(input); // a missing file fails the attempt only, because it may exist later
  const part = `${output}.${task.id}-${task.attempt}.part`;
  log(`${input}: ${size} bytes, ${format}`);
  try {
    const meter = meterOf((bytes) => progress((100 * bytes) / size, `${bytes} of ${size} bytes`));
    await pipeline(createReadStream(input), meter, FORMATS[format](), createWriteStream(part), { signal });
    await rename(part, output);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  return { output, bytes_in: size, bytes_out: (await stat(output)).size };
};

/** Reports after each chunk how many bytes have passed. */
function meterOf(report: (bytes: number) => void): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Uint8Array, _encoding, next) {
      bytes += chunk.length;
      report(bytes);
      next(null, chunk);
    },
  });
}

function jobOf(payload: unknown): Job | null {
  if (typeof payload !== "object" || payload === null) return null;
  const { input, output, format = "gzip" } = payload as Record<string, unknown>; // a missing member reads as undefined
  if (typeof input !== "string" || typeof output !== "string" || input === output) return null;
  return isFormat(format) ? { input, output, format } : null;
}

const isFormat = (value: unknown): value is Job["format"] =>
  typeof value === "string" && Object.hasOwn(FORMATS, value);

export default { "file.compress": compress };
