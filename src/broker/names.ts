/**
 * The names of TaskTrack's exchanges, queues, topics and groups at a broker. The left side is the name in code. The right side is
 * the name at the broker; it never changes, because deployed brokers have these queues and topics, and producers and consumers use
 * them. Each TaskTrack that shares a broker needs its own prefix.
 */
export const namesUnder = (prefix: string) => ({
  /** RabbitMQ: exchange and queue. Kafka: topic. */
  submissions: `${prefix}.submit`,
  /** RabbitMQ: queue. Kafka: topic. */
  rejections: `${prefix}.rejected`,
  /** RabbitMQ: exchange. Kafka: topic. */
  events: `${prefix}.events`,
  /**
   * RabbitMQ: exchange. Kafka: topic. RabbitMQ's queues and Kafka's groups of a set of types are called `<this>:<types>`. Wake-ups
   * were called bells when these names were chosen.
   */
  wakeUps: `${prefix}.bells`,
  /** Kafka: the group of all processes that read the submissions. */
  submissionsGroup: prefix,
});

export type Names = Readonly<ReturnType<typeof namesUnder>>;

export const PREFIX_DEFAULT = "tasktrack";
