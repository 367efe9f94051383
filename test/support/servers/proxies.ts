/**
 * Proxies in front of a TaskTrack, each as Debian packages it: the package's own configuration, plus the lines of docs/proxies.md.
 * Other differences are those that a second instance on the machine needs: ports, folders, accounts, no daemon.
 */
import { readFileSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  createServerOf,
  findBinary,
  findOrInstall,
  freePort,
  type Place,
  type TestServer,
} from "./runner.ts";

export const PROXIES = ["nginx", "haproxy", "apache", "caddy", "varnish", "squid"] as const;
export type ProxyName = (typeof PROXIES)[number];

export interface ProxyServer extends TestServer {
  readonly name: ProxyName;
  /** Its clients use SITE as the host. */
  readonly url: string;
  /**
   * The same proxy without the line that forwards Host, so that TaskTrack gets its own address as the host; null if that is not the
   * default.
   */
  readonly bareUrl: string | null;
}

/** The name under which the proxies' users reach TaskTrack. */
export const SITE = "tasks.example.com";

/** The path of the program, which is installed if it is missing; throws if that is not possible. */
function binaryOf(name: ProxyName): string {
  const path = findBinary(KINDS[name].binary);
  if (path !== null) return path;
  throw new Error(
    `the tests need ${name}: install Debian's ${KINDS[name].debianPackage}, or run them as root on Debian (they install it)`,
  );
}

/** One call for all packages: a call for each package would update the lists of packages again. */
function installMissing(names: readonly ProxyName[]): void {
  const missing = names.map((name) => KINDS[name]).filter(({ binary }) => findBinary(binary) === null);
  const debianPackage = missing.map((kind) => kind.debianPackage).join(" ");
  if (missing.length > 0) findOrInstall({ name: "the proxies", debianPackage, find: () => null });
}

/** A proxy in front of the server at this URL, ready to start. */
async function createProxy(name: ProxyName, serverUrl: string): Promise<ProxyServer> {
  const kind = KINDS[name];
  const { debianPackage } = kind;
  const binary = binaryOf(name);
  const barePort = kind.isBareToo ? await freePort() : null;
  const upstreamPort = Number(new URL(serverUrl).port);
  const server = await createServerOf({
    ...{ name, debianPackage, account: kind.account, stopSignal: "SIGTERM" },
    find: () => "/usr/bin/env",
    prepare: async ({ directory, port }) => {
      const lines = linesOf(name).replace(/127\.0\.0\.1(:| parent )8080/g, `127.0.0.1$1${upstreamPort}`);
      const file = join(directory, FILE);
      await writeFile(file, kind.configuration({ directory, port, barePort, upstreamPort, lines }));
      await chmod(file, 0o644);
    },
    args: (place) => [`HOME=${place.directory}`, binary, ...kind.args(place)],
    composeEnv: () => ({}),
  });
  return {
    ...server,
    name,
    url: `http://127.0.0.1:${server.port}`,
    bareUrl: barePort === null ? null : `http://127.0.0.1:${barePort}`,
  };
}

/** Starts these proxies in front of the server at this URL; by default all of them. */
export function startProxies(
  serverUrl: string,
  names: readonly ProxyName[] = PROXIES,
): Promise<readonly ProxyServer[]> {
  installMissing(names);
  return Promise.all(
    names.map(async (name) => {
      const proxy = await createProxy(name, serverUrl);
      await proxy.start();
      return proxy;
    }),
  );
}

const FILE = "proxy.conf";
const DOCUMENT = join(import.meta.dir, "../../../docs/proxies.md");

/** The lines of the first block under the proxy's heading. */
function linesOf(name: ProxyName): string {
  const section = readFileSync(DOCUMENT, "utf8")
    .split(/^## /m)
    .find((text) => text.toLowerCase().startsWith(`${name}\n`));
  const lines = /^```\w+\n(.*?)^```/ms.exec(section ?? "")?.[1];
  if (lines === undefined) throw new Error(`docs/proxies.md has no lines for ${name}`);
  return lines;
}

type Setup = {
  readonly directory: string;
  readonly port: number;
  readonly barePort: number | null;
  readonly upstreamPort: number;
  /** The lines of docs/proxies.md, with TaskTrack's present port. */
  readonly lines: string;
};

type Kind = {
  readonly debianPackage: string;
  readonly binary: string;
  readonly account: string | null;
  /** Whether it rewrites Host by default. Then it also runs without the line that forwards it. */
  readonly isBareToo?: boolean;
  /** The whole text of its configuration file. */
  readonly configuration: (setup: Setup) => string;
  readonly args: (place: Place) => readonly string[];
};

const fileIn = ({ directory }: Pick<Place, "directory">): string => join(directory, FILE);
const packaged = (path: string): string => readFileSync(path, "utf8");

/** The text with these parts replaced; throws if one is missing, because then Debian's file has changed. */
function replaced(text: string, parts: readonly (readonly [RegExp, string])[]): string {
  return parts.reduce((before, [pattern, replacement]) => {
    if (!pattern.test(before)) throw new Error(`${pattern} is not in this configuration:\n${before}`);
    return before.replace(pattern, () => replacement);
  }, text);
}

const KINDS: Readonly<Record<ProxyName, Kind>> = {
  nginx: {
    debianPackage: "nginx",
    binary: "nginx",
    account: "www-data",
    isBareToo: true,
    configuration: ({ directory, port, barePort, upstreamPort, lines }) => {
      const sites = `
	${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${directory}/${kind};`).join("\n\t")}
	${replaced(lines, [[/listen 80;/, `listen 127.0.0.1:${port};`]])}
	server {
	    listen 127.0.0.1:${barePort};
	    location / { proxy_pass http://127.0.0.1:${upstreamPort}; }
	}`;
      return replaced(packaged("/etc/nginx/nginx.conf"), [
        [/^user .*/m, "daemon off;"],
        [/^worker_processes .*/m, "worker_processes 1;"], // so that requests share its connections to the server
        [/^pid .*/m, `pid ${directory}/nginx.pid;`],
        [/^error_log .*/m, "error_log stderr;"],
        [/access_log .*/, "access_log off;"],
        [/include \/etc\/nginx\/conf\.d\/.*/, ""],
        [/include \/etc\/nginx\/sites-enabled\/.*/, sites],
      ]);
    },
    args: (place) => ["-e", "stderr", "-c", fileIn(place)],
  },
  haproxy: {
    debianPackage: "haproxy",
    binary: "haproxy",
    account: "haproxy",
    configuration: ({ port, lines }) => {
      const [, defaults] = packaged("/etc/haproxy/haproxy.cfg").split(/^(?=defaults)/m);
      if (defaults === undefined) throw new Error("Debian's haproxy.cfg has no defaults");
      return `${defaults}\n${replaced(lines, [[/bind :80/, `bind 127.0.0.1:${port}`]])}`;
    },
    args: (place) => ["-db", "-q", "-f", fileIn(place)],
  },
  apache: {
    debianPackage: "apache2",
    binary: "apache2",
    account: "www-data",
    isBareToo: true,
    configuration: ({ directory, port, barePort, upstreamPort, lines }) => {
      const module = (name: string): string =>
        `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`;
      const own = `Listen 127.0.0.1:${port}
Listen 127.0.0.1:${barePort}
ServerName localhost
${["proxy", "proxy_http"].map(module).join("\n")}`;
      const sites = `${replaced(lines, [[/\*:80/, `127.0.0.1:${port}`]])}
<VirtualHost 127.0.0.1:${barePort}>
    ProxyPass / http://127.0.0.1:${upstreamPort}/
</VirtualHost>`;
      const values: Readonly<Record<string, string>> = {
        APACHE_RUN_DIR: directory,
        APACHE_PID_FILE: join(directory, "apache2.pid"),
        APACHE_LOG_DIR: directory,
        APACHE_RUN_USER: "www-data",
        APACHE_RUN_GROUP: "www-data",
      };
      const definitions = Object.entries(values).map(([name, value]) => `Define ${name} ${value}`);
      const text = replaced(packaged("/etc/apache2/apache2.conf"), [
        [/^Include ports\.conf$/m, own],
        [/^IncludeOptional sites-enabled\/.*$/m, sites],
      ]);
      return `${definitions.join("\n")}\nMutex file:${directory} default\n${text}`;
    },
    args: (place) => ["-D", "FOREGROUND", "-d", "/etc/apache2", "-f", fileIn(place)],
  },
  caddy: {
    debianPackage: "caddy",
    binary: "caddy",
    account: null,
    configuration: ({ port, lines }) => {
      const site = replaced(lines, [
        [/^http:\/\/tasks\.example\.com \{/, `http://:${port} {\n    bind 127.0.0.1`],
      ]);
      return `{\n    admin off\n}\n${site}`;
    },
    args: (place) => ["run", "--adapter", "caddyfile", "--config", fileIn(place)],
  },
  varnish: {
    debianPackage: "varnish",
    binary: "varnishd",
    account: null,
    configuration: ({ lines, upstreamPort }) => replaced(lines, [[/"8080"/, `"${upstreamPort}"`]]),
    args: (place) => [
      ...["-F", "-j", "none", "-n", join(place.directory, "work"), "-f", fileIn(place)],
      ...["-a", `127.0.0.1:${place.port}`, "-T", "none", "-s", "malloc,64m"],
    ],
  },
  squid: {
    debianPackage: "squid",
    binary: "squid",
    account: "proxy",
    configuration: ({ directory, port, lines }) =>
      replaced(packaged("/etc/squid/squid.conf"), [
        [/^http_port 3128$/m, ""],
        [/^coredump_dir .*$/m, `coredump_dir ${directory}`],
        [
          /^include \/etc\/squid\/conf\.d\/\*\.conf$/m,
          `${replaced(lines, [[/http_port 80 /, `http_port 127.0.0.1:${port} `]])}
pid_filename ${directory}/squid.pid
cache_log ${directory}/cache.log
access_log none
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds`,
        ],
      ]),
    args: (place) => ["-N", "-f", fileIn(place)],
  },
};
