/** The servers that `npm test` starts once for all tests. */
import type { KafkaListeners } from "./kafka.ts";
import type { RabbitmqListeners } from "./rabbitmq.ts";

const variable = (name: string): string => {
  const value = process.env[name];
  if (value === undefined)
    throw new Error(`${name} is not set: run the tests by \`npm test\`, which starts the servers`);
  return value;
};

export const sharedPostgres = (): string => variable("TEST_POSTGRES_URL");
export const sharedPgbouncer = (): string => variable("TEST_PGBOUNCER_URL");
export const sharedRedis = (): string => variable("TEST_REDIS_URL");
export const sharedRabbitmq = (): string => variable("TEST_RABBITMQ_URL");
export const sharedKafka = (): string => variable("TEST_KAFKA_URL");

/** The broker at this URL also has these listeners with authentication. */
type Secured<Listeners> = { readonly url: string; readonly secured: Listeners };

export const sharedSecuredRabbitmq = () => securedOf<RabbitmqListeners>("TEST_SECURED_RABBITMQ");
export const sharedSecuredKafka = () => securedOf<KafkaListeners>("TEST_SECURED_KAFKA");

const securedOf = <Listeners>(name: string): Secured<Listeners> => JSON.parse(variable(name)); // in the form that the runner writes
