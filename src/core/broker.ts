/**
 * `away`: nobody answers there. `blocked`: it takes nothing, for want of memory or disk. `no_submissions`: it answers, but submissions
 * are not taken; the log says why. Work goes on in all of them.
 */
export const BROKER_STATES = ["up", "away", "blocked", "no_submissions"] as const;
export type BrokerState = (typeof BROKER_STATES)[number];

/** How the broker stands; its name is for people, such as RabbitMQ. */
export type BrokerHealth = { readonly name: string; readonly state: BrokerState };
