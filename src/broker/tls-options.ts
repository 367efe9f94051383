/** The TLS options of both clients, from the files that QUEUE_URL names. */
import { readFileSync } from "node:fs";
import { type ConnectionOptions, createSecureContext } from "node:tls";
import { TaskError } from "../core/error.ts";
import type { TlsFiles } from "./url.ts";

/** There is no `servername`: both clients send and verify the host that they connect to. */
export function tlsOptions({ authority, own, isVerified }: TlsFiles): ConnectionOptions {
  const options = {
    rejectUnauthorized: isVerified,
    ...(authority === null ? {} : { ca: pem("cacertfile", authority, "CERTIFICATE") }),
    ...(own === null
      ? {}
      : {
          cert: pem("certfile", own.certificate, "CERTIFICATE"),
          key: pem("keyfile", own.key, "PRIVATE KEY"),
        }),
  };
  try {
    createSecureContext(options); // the client would do it when it connects, and its error would not name the setting
  } catch (error) {
    throw refusal(
      "certificates, and a key without a passphrase that belongs to certfile, as PEM",
      messageOf(error),
    );
  }
  return options;
}

function pem(parameter: string, path: string, kind: string): string {
  const wanted = `${parameter} to name a PEM file with a ${kind.toLowerCase()}`;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw refusal(wanted, messageOf(error));
  }
  if (!text.includes(`${kind}-----`)) throw refusal(wanted, JSON.stringify(path));
  return text;
}

const refusal = (expected: string, got: string): TaskError =>
  new TaskError("invalid", `QUEUE_URL: expected ${expected}, got ${got}`);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
