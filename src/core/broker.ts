/**
 * `away`: the broker does not answer. `blocked`: it accepts no messages because it is short of memory or disk. `no_submissions`: it
 * answers, but the server cannot read the submissions; the log has the reason. Tasks run in every state.
 */
export const BROKER_STATES = ["up", "away", "blocked", "no_submissions"] as const;
export type BrokerState = (typeof BROKER_STATES)[number];

/** The state of the broker; its name is for people, such as RabbitMQ. */
export type BrokerHealth = { readonly name: string; readonly state: BrokerState };
