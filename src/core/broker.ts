/** `away`: nobody answers there. `blocked`: it takes nothing, for want of memory or disk. Work goes on in both. */
export const BROKER_STATES = ["up", "away", "blocked"] as const;
export type BrokerState = (typeof BROKER_STATES)[number];

/** How the broker stands; its name is for people, such as RabbitMQ. */
export type BrokerHealth = { readonly name: string; readonly state: BrokerState };
