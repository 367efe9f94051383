import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Certificate, type Certificates, createCertificates } from "./certificates.ts";
import { createServerOf, findBinary, findOrInstall, freePort, type TestServer } from "./runner.ts";

export interface KafkaServer extends TestServer {
  readonly url: string;
}

/** The listeners with authentication, one for each kind. Most tests use the listener without authentication. */
export type SecuredKafka = KafkaServer & { readonly secured: KafkaListeners };

export type KafkaListeners = {
  readonly certificates: Certificates;
  /** SASL over a plain connection: PLAIN and SCRAM-SHA-256. */
  readonly sasl: string;
  /** SASL over TLS, with a certificate for the name localhost: PLAIN and SCRAM-SHA-512. */
  readonly saslTls: string;
  /** TLS with certificates on both sides; the server's certificate is for its address. */
  readonly mutualTls: string;
};

/** The account, for PLAIN and SCRAM; without quotes and commas, because Kafka's settings use these. */
export type Account = { readonly user: string; readonly password: string };

/** The version that the tests share. */
export const KAFKA = process.env.TEST_KAFKA_VERSION ?? "3.9.2";
/** The newest version that TaskTrack is tested with. */
export const NEWER_KAFKA = "4.3.1";

const CACHE = join(import.meta.dir, "../../../node_modules/.cache");
const jarsOf = (version: string): string => join(CACHE, `kafka-${version}`);

/** Options of Java for a short start, because the start takes most of the time of a test. */
const QUICK_TO_START = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/**
 * A Kafka of its own: one node that is broker and controller, its jars from Maven Central, its data in a folder of its own.
 * @param flags of the virtual machine that runs it
 */
export const createKafka = (
  flags: readonly string[] = QUICK_TO_START,
  version = KAFKA,
): Promise<KafkaServer> => open({ listeners: async () => [], format: [], flags, version });

export async function createSecuredKafka(account: Account): Promise<SecuredKafka> {
  const [sasl, saslTls, mutualTls] = [await freePort(), await freePort(), await freePort()];
  let certificates: Certificates | null = null;
  const server = await open({
    flags: QUICK_TO_START,
    version: KAFKA,
    listeners: async (directory) => {
      certificates = createCertificates(directory);
      const { authority, byName, byAddress } = certificates;
      const trust = { "ssl.truststore.type": "PEM", "ssl.truststore.location": authority };
      return [
        { name: "SASL_PLAINTEXT", protocol: "SASL_PLAINTEXT", port: sasl, settings: letIn(account, SHA_256) },
        {
          name: "SASL_SSL",
          protocol: "SASL_SSL",
          port: saslTls,
          settings: { ...letIn(account, SHA_512), ...(await keyStore(directory, "by-name", byName)) },
        },
        {
          name: "MUTUAL",
          protocol: "SSL",
          port: mutualTls,
          settings: {
            ...trust,
            "ssl.client.auth": "required",
            ...(await keyStore(directory, "by-address", byAddress)),
          },
        },
      ];
    },
    format: [SHA_256, SHA_512].flatMap((mechanism) => [
      "--add-scram",
      `${mechanism}=[name="${account.user}",password="${account.password}"]`,
    ]),
  });
  if (certificates === null)
    throw new Error(
      "a Kafka with authentication needs Java on the machine: the compose file has no such server",
    );
  const secured = {
    certificates,
    sasl: `127.0.0.1:${sasl}`,
    saslTls: `localhost:${saslTls}`,
    mutualTls: `127.0.0.1:${mutualTls}`,
  };
  return { ...server, secured };
}

type Listener = {
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
  readonly settings: Readonly<Record<string, string>>;
};

async function open(more: {
  readonly listeners: (directory: string) => Promise<readonly Listener[]>;
  readonly format: readonly string[];
  readonly flags: readonly string[];
  readonly version: string;
}): Promise<KafkaServer> {
  const controllerPort = await freePort();
  const server = await createServerOf({
    name: "kafka",
    debianPackage: "openjdk-17-jre-headless",
    find: () => findBinary("java"),
    account: null,
    stopSignal: "SIGTERM",
    prepare: async ({ directory, port, binary, run }) => {
      await fetchJars(more.version);
      if (!more.flags.some((flag) => flag.startsWith(WRITE_ARCHIVE))) await archiveClasses(more.version);
      const properties = join(directory, "server.properties");
      const listeners = await more.listeners(directory);
      await writeFile(properties, propertiesOf({ directory, port, controllerPort, listeners }));
      // It must not begin with a dash, which would make it an option of the tool.
      const cluster = Buffer.from(`0${crypto.randomUUID().replaceAll("-", "").slice(1)}`, "hex").toString(
        "base64url",
      );
      const format = ["format", "-t", cluster, "-c", properties, ...more.format];
      run(binary, [...jvmOf(more.version, QUICK_TO_START), "kafka.tools.StorageTool", ...format]);
    },
    args: ({ directory }) => [
      ...jvmOf(more.version, more.flags),
      "kafka.Kafka",
      join(directory, "server.properties"),
    ],
    composeEnv: () => ({ KAFKA_VERSION: more.version }),
  });
  return { ...server, url: `kafka://127.0.0.1:${server.port}` };
}

function jvmOf(version: string, flags: readonly string[]): string[] {
  const archive = archiveOf(version);
  const shared = existsSync(archive) ? [`-XX:SharedArchiveFile=${archive}`] : [];
  return [...flags, "-Xshare:auto", ...shared, "-cp", join(jarsOf(version), "*")];
}

const WRITE_ARCHIVE = "-XX:ArchiveClassesAtExit=";
const archiveOf = (version: string): string => join(CACHE, `kafka-${version}.jsa`);

/**
 * Starts and stops a Kafka once, so that Java writes the loaded classes into an archive. With the archive, a start takes 1.9 s of the
 * processor instead of 4.0 s. Java ignores an archive of another Java version. Only the Kafka version that the tests share is started
 * often enough to make an archive useful.
 */
async function archiveClasses(version: string): Promise<void> {
  const archive = archiveOf(version);
  if (version !== KAFKA || existsSync(archive)) return;
  const unfinished = `${archive}.${process.pid}`;
  const flags = [...QUICK_TO_START, `${WRITE_ARCHIVE}${unfinished}`];
  const server = await open({ listeners: async () => [], format: [], flags, version });
  try {
    await server.start();
    await server.signal("SIGTERM");
    if (existsSync(unfinished)) await rename(unfinished, archive);
  } finally {
    await server.remove();
    await rm(unfinished, { force: true });
  }
}

const SHA_256 = "SCRAM-SHA-256";
const SHA_512 = "SCRAM-SHA-512";

/** PLAIN, whose accounts are settings, and one SCRAM mechanism, whose accounts are in the cluster's data. */
function letIn({ user, password }: Account, scram: string): Record<string, string> {
  const security = "org.apache.kafka.common.security";
  return {
    "sasl.enabled.mechanisms": `PLAIN,${scram}`,
    "plain.sasl.jaas.config": `${security}.plain.PlainLoginModule required user_${user}="${password}";`,
    [`${scram.toLowerCase()}.sasl.jaas.config`]: `${security}.scram.ScramLoginModule required;`,
  };
}

/** In Kafka's format: the key and its certificate in one file. */
async function keyStore(
  directory: string,
  name: string,
  { certificate, key }: Certificate,
): Promise<Record<string, string>> {
  const path = join(directory, `${name}.keystore.pem`);
  await writeFile(path, (await readFile(key, "utf8")) + (await readFile(certificate, "utf8")));
  return { "ssl.keystore.type": "PEM", "ssl.keystore.location": path };
}

/**
 * After a SIGKILL Kafka reads each partition's indexes, 10 MB each by default: with 380 partitions a start took 9.5 s of the processor,
 * with small indexes 6 to 7 s.
 */
const INDEX_BYTES = 65_536;

const propertiesOf = (at: {
  readonly directory: string;
  readonly port: number;
  readonly controllerPort: number;
  readonly listeners: readonly Listener[];
}): string => {
  const own: readonly Listener[] = [
    { name: "PLAINTEXT", protocol: "PLAINTEXT", port: at.port, settings: {} },
    ...at.listeners,
  ];
  const urls = own.map(({ name, port }) => `${name}://127.0.0.1:${port}`).join();
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${at.controllerPort}
listeners=${urls},CONTROLLER://127.0.0.1:${at.controllerPort}
advertised.listeners=${urls.replace("SASL_SSL://127.0.0.1:", "SASL_SSL://localhost:")}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,${own.map(({ name, protocol }) => `${name}:${protocol}`).join()}
log.dirs=${join(at.directory, "data")}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.index.size.max.bytes=${INDEX_BYTES}
${own.map(settingsOf).join("")}`;
};

const settingsOf = ({ name, settings }: Listener): string =>
  Object.entries(settings)
    .map(([key, value]) => `listener.name.${name.toLowerCase()}.${key}=${value}\n`)
    .join("");

const pomOf = (version: string): string => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tasktrack</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${version}</version></dependency>
  </dependencies>
</project>
`;

/**
 * Downloads the jars once with Maven, which uses the machine's mirrors and verifies the files. The folder gets its name when it is
 * complete.
 */
async function fetchJars(version: string): Promise<void> {
  if (existsSync(jarsOf(version))) return;
  const mvn = findOrInstall({ name: "kafka", debianPackage: "maven", find: () => findBinary("mvn") });
  if (mvn === null) throw new Error("the tests need Maven for Kafka's jars: install Debian's maven");
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, "kafka-"));
  await writeFile(join(folder, "pom.xml"), pomOf(version));
  const jars = join(folder, "jars");
  const goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
  const done = spawnSync(
    mvn,
    ["-q", "-B", "-f", join(folder, "pom.xml"), goal, "-DincludeScope=runtime", `-DoutputDirectory=${jars}`],
    { encoding: "utf8" },
  );
  if (done.status !== 0) throw new Error(`Maven could not fetch Kafka:\n${done.stdout}${done.stderr}`);
  await rename(jars, jarsOf(version));
  await rm(folder, { recursive: true });
}
