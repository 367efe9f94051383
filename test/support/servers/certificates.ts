/** Certificates by openssl for one server: its authority, the server, a client, and a client of another authority. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findBinary, findOrInstall } from "./runner.ts";

export interface Certificates {
  /** The certificate of the authority that has signed all of them except the stranger's certificate. */
  readonly authority: string;
  /** The certificate of a server with the name `localhost`, and not its address. */
  readonly byName: Certificate;
  /** The certificate of a server with the address 127.0.0.1, and not its name. */
  readonly byAddress: Certificate;
  readonly client: Certificate;
  readonly stranger: Certificate;
}

/** The paths of two PEM files. */
export type Certificate = { readonly certificate: string; readonly key: string };

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const LIFE = ["-days", "2"];

/** Creates them in an existing folder. */
export function createCertificates(folder: string): Certificates {
  const openssl = findOrInstall({
    name: "the certificates",
    debianPackage: "openssl",
    find: () => findBinary("openssl"),
  });
  if (openssl === null) throw new Error("the tests need openssl: install Debian's openssl");

  const run = (...args: string[]): void => {
    const done = spawnSync(openssl, args, { cwd: folder, encoding: "utf8" });
    if (done.status !== 0) throw new Error(`openssl ${args.join(" ")} failed:\n${done.stderr}`);
  };
  const pathsOf = (name: string): Certificate => ({
    certificate: join(folder, `${name}.pem`),
    key: join(folder, `${name}.key`),
  });

  function signItself(name: string): Certificate {
    run(
      "req",
      "-x509",
      ...KEY,
      ...LIFE,
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.pem`,
    );
    return pathsOf(name);
  }

  function sign(name: string, alternative: string): Certificate {
    run("req", ...KEY, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${alternative}`);
    const by = ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial"];
    run(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      ...by,
      ...LIFE,
      "-extfile",
      `${name}.ext`,
      "-out",
      `${name}.pem`,
    );
    return pathsOf(name);
  }

  return {
    authority: signItself("authority").certificate,
    byName: sign("by-name", "DNS:localhost"),
    byAddress: sign("by-address", "IP:127.0.0.1"),
    client: sign("client", "DNS:client"),
    stranger: signItself("stranger"),
  };
}
