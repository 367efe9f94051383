/** A part that runs in the background from its start to its stop. */
export interface Service {
  /** The name in the log. */
  readonly name: string;
  /** Rejects if the process cannot work without it. */
  start(): Promise<void> | void;
  /** Stops taking new work, if that is possible before the work under way is ended; called once, before any `stop`. */
  drain?(): void;
  /** Ends the work under way; work without a time limit of its own is given up after `withinMs`. May be called twice, and without a start. */
  stop(withinMs: number): Promise<void>;
}

/** Starts in order: each service may use those before it. The first that rejects ends the start. */
export async function startServices(services: readonly Service[]): Promise<void> {
  for (const service of services) await service.start();
}

/** Drains all, then stops one after the other, the last started first. */
export async function stopServices(services: readonly Service[], withinMs: number): Promise<void> {
  const reversed = services.toReversed();
  for (const service of reversed) service.drain?.();
  for (const service of reversed) await service.stop(withinMs);
}
