/** What a TaskTrack calls its exchanges, queues, topics and groups at a broker; two that share a broker have prefixes of their own. */
export type Names = {
  readonly submit: string;
  readonly rejected: string;
  readonly events: string;
  readonly bells: string;
  /** Of the processes that take tasks in from Kafka. */
  readonly group: string;
};

export const PREFIX_DEFAULT = "tasktrack";

export const namesUnder = (prefix: string): Names => ({
  submit: `${prefix}.submit`,
  rejected: `${prefix}.rejected`,
  events: `${prefix}.events`,
  bells: `${prefix}.bells`,
  group: prefix,
});
