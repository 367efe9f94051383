/** The servers that `npm test` brings up once for all tests. */
const urlOf = (name: string): string => {
  const url = process.env[name];
  if (url === undefined)
    throw new Error(`${name} is not set: run the tests by \`npm test\`, which starts the servers`);
  return url;
};

export const sharedPostgres = (): string => urlOf("TEST_POSTGRES_URL");
export const sharedPgbouncer = (): string => urlOf("TEST_PGBOUNCER_URL");
export const sharedRedis = (): string => urlOf("TEST_REDIS_URL");
export const sharedRabbitmq = (): string => urlOf("TEST_RABBITMQ_URL");
export const sharedKafka = (): string => urlOf("TEST_KAFKA_URL");
