/**
 * The TaskSource of a worker outside the server: the same processor as in the server, but its tasks come over HTTP. The completes
 * of one turn of the event loop share a request, whose answer has the next tasks. The heartbeats of one turn share a request as
 * well.
 */
import type { TaskSource } from "../../processor/source.ts";
import type { BeatAnswer, BeatBody, CompleteAnswer, Completion, Directive } from "../work.ts";
import { type ClaimsSetup, createClaims } from "./claims.ts";
import { createExtend } from "./heartbeats.ts";
import { createSettle } from "./outcomes.ts";

export interface HttpSource extends TaskSource {
  /** Stops claiming: the server ends the claims that it has not answered and takes back their tasks. May be called twice. */
  leave(): void;
  /** Claims these types from now on. A claim that already waits keeps its types. */
  askFor(types: readonly string[]): void;
  /** Leaves. Resolves when all tasks that arrived and were not started are released. */
  close(): Promise<void>;
}

export type HttpSourceSetup = Omit<ClaimsSetup, "onDirective"> & {
  /** Called with the server's directive, unless it is `run`. */
  readonly onDirective: (directive: Exclude<Directive, "run">) => void;
};

export function createHttpSource(setup: HttpSourceSetup): HttpSource {
  const { calls, worker, leaseMs, clock, log, nonce } = setup;
  const claims = createClaims({ calls, worker, leaseMs, clock, log, nonce, onDirective });
  const settle = createSettle({ complete, calls, left: claims.left, log });
  const extend = createExtend({ heartbeat, log });

  function onDirective(directive: Directive | undefined): void {
    if (directive === "drain" || directive === "stop") setup.onDirective(directive);
  }

  /** Claims as many tasks as it frees slots. */
  function complete(completions: readonly Completion[]): Promise<CompleteAnswer> {
    return claims.sendWithClaim(completions.length, async (claim) => {
      const sentAt = clock.monotonic();
      const answer = await calls.complete(completions, claim);
      onDirective(answer.directive);
      await claims.receive(answer.claimed ?? [], sentAt);
      return answer;
    });
  }

  async function heartbeat(leases: readonly BeatBody[]): Promise<BeatAnswer> {
    const answer = await calls.heartbeat(worker, leases, leaseMs / 3);
    onDirective(answer.directive);
    return answer;
  }

  return {
    claim: claims.claim,
    settle,
    extend: (sent) => Promise.all(sent.map(extend)),
    onRevoked: () => () => undefined, // the answers to heartbeats report it
    leave: claims.leave,
    askFor: claims.askFor,
    close: () => {
      claims.leave();
      return claims.giveBackArrived();
    },
  };
}
