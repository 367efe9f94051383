import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createServerOf, findBinary, findOrInstall, freePort, type TestServer } from "./runner.ts";

export interface KafkaServer extends TestServer {
  readonly url: string;
}

const VERSION = "3.9.2";
const CACHE = join(import.meta.dir, "../../../node_modules/.cache");
const JARS = join(CACHE, `kafka-${VERSION}`);

/** A test waits for the start more than for anything else. */
const QUICK_TO_START = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/**
 * A Kafka of its own: one node that is broker and controller, its jars from Maven Central, its data in a folder of its own.
 * @param flags of the virtual machine that runs it
 */
export async function createKafka(flags: readonly string[] = QUICK_TO_START): Promise<KafkaServer> {
  const controllerPort = await freePort();
  const server = await createServerOf({
    name: "kafka",
    debianPackage: "openjdk-17-jre-headless",
    find: () => findBinary("java"),
    account: null,
    stopSignal: "SIGTERM",
    prepare: async ({ directory, port, binary, run }) => {
      await fetchJars();
      const properties = join(directory, "server.properties");
      await writeFile(properties, propertiesOf({ directory, port, controllerPort }));
      const cluster = Buffer.from(crypto.randomUUID().replaceAll("-", ""), "hex").toString("base64url");
      run(binary, [
        ...jvm(QUICK_TO_START),
        "kafka.tools.StorageTool",
        "format",
        "-t",
        cluster,
        "-c",
        properties,
      ]);
    },
    args: ({ directory }) => [...jvm(flags), "kafka.Kafka", join(directory, "server.properties")],
    composeEnv: () => ({}),
  });
  return { ...server, url: `kafka://127.0.0.1:${server.port}` };
}

const jvm = (flags: readonly string[]): string[] => [...flags, "-Xshare:auto", "-cp", join(JARS, "*")];

const propertiesOf = (at: {
  readonly directory: string;
  readonly port: number;
  readonly controllerPort: number;
}): string =>
  `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${at.controllerPort}
listeners=PLAINTEXT://127.0.0.1:${at.port},CONTROLLER://127.0.0.1:${at.controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${at.port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=${join(at.directory, "data")}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
`;

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tasktrack</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version></dependency>
  </dependencies>
</project>
`;

/** By Maven, which knows the machine's mirrors and checks what it loads; once, into a folder that appears whole or not at all. */
async function fetchJars(): Promise<void> {
  if (existsSync(JARS)) return;
  const mvn = findOrInstall({ name: "kafka", debianPackage: "maven", find: () => findBinary("mvn") });
  if (mvn === null) throw new Error("the tests need Maven for Kafka's jars: install Debian's maven");
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, "kafka-"));
  await writeFile(join(folder, "pom.xml"), POM);
  const jars = join(folder, "jars");
  const goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
  const done = spawnSync(
    mvn,
    ["-q", "-B", "-f", join(folder, "pom.xml"), goal, "-DincludeScope=runtime", `-DoutputDirectory=${jars}`],
    { encoding: "utf8" },
  );
  if (done.status !== 0) throw new Error(`Maven could not fetch Kafka:\n${done.stdout}${done.stderr}`);
  await rename(jars, JARS);
  await rm(folder, { recursive: true });
}
