/** Everything that can be asked: each path with its methods, in the sections of the OpenAPI document. */

import { createBoardRoutes } from "./board.ts";
import { type ClaimsSetup, createClaims } from "./claims.ts";
import { createEventRoutes } from "./events.ts";
import { createHealthRoutes, type HealthSetup } from "./health.ts";
import { createListRoutes, type ListsSetup } from "./lists.ts";
import { createOpenApiRoute, type Section } from "./openapi.ts";
import type { Routes } from "./route.ts";
import { type ClaimSetup, createClaimRoutes } from "./routes/claim.ts";
import { createDrainRoutes, type DrainSetup } from "./routes/drain.ts";
import { createHeartbeatRoute, type HeartbeatSetup } from "./routes/heartbeat.ts";
import { createCompleteManyRoute, createOutcomeRoutes, type OutcomesSetup } from "./routes/outcomes.ts";
import { createTaskRoutes, type TasksSetup } from "./tasks.ts";
import { createUiRoutes, type UiSetup } from "./ui.ts";

export type RoutesSetup = HealthSetup &
  UiSetup &
  TasksSetup &
  ListsSetup &
  ClaimsSetup &
  Omit<ClaimSetup & DrainSetup & OutcomesSetup & HeartbeatSetup, "claims"> & {
    /** Whether there is more to ask than the probes: the API and the web UI. */
    readonly hasApi: boolean;
    readonly version: string;
  };

export type RouteTable = {
  readonly routes: Routes;
  /** Ends the event streams and the claims that wait. */
  readonly close: () => void;
};

export function createRouteTable(setup: RoutesSetup): RouteTable {
  const tasks = createTaskRoutes(setup);
  const lists = createListRoutes(setup);
  const board = createBoardRoutes(setup);
  const { events, close: endEvents } = createEventRoutes(setup);
  const claims = createClaims(setup);
  const ofWork = { ...setup, claims };
  const claiming = createClaimRoutes(ofWork);
  const outcomes = createOutcomeRoutes(ofWork);
  const draining = createDrainRoutes(ofWork);
  const health = createHealthRoutes(setup);

  const probes: Routes = {
    "/livez": { GET: health.livez },
    "/readyz": { GET: health.readyz },
  };
  const ofTasks: Routes = {
    "/api/task": { GET: lists.list, POST: tasks.create },
    "/api/task/bulk": { POST: lists.bulk },
    "/api/task/:id": { GET: tasks.get, PATCH: tasks.edit, DELETE: tasks.remove },
    "/api/task/:id/cancel": { POST: tasks.cancel },
    "/api/task/:id/retry": { POST: tasks.retry },
    "/api/task/:id/log": { GET: tasks.readLog },
    "/api/task/:id/explain": { GET: board.explain },
    "/api/events": { GET: events },
  };
  const ofWorkers: Routes = {
    "/api/task/:id/complete": { POST: outcomes.complete },
    "/api/task/:id/fail": { POST: outcomes.fail },
    "/api/task/:id/release": { POST: outcomes.release },
    "/api/worker/claim": { POST: claiming.claim },
    "/api/worker/leave": { POST: claiming.leave },
    "/api/worker/heartbeat": { POST: createHeartbeatRoute(setup) },
    "/api/worker/complete": { POST: createCompleteManyRoute(ofWork) },
    "/api/worker/:name/drain": { POST: draining.drain, DELETE: draining.undrain },
  };
  const ofServer: Routes = {
    "/api/stats": { GET: board.stats },
    ...probes,
    "/openapi.json": { GET: createOpenApiRoute(() => sections, setup.version) },
  };
  const sections: readonly Section[] = [
    { tag: "tasks", description: "For clients: submit work and follow it", routes: ofTasks },
    { tag: "workers", description: "For workers: claim tasks and report on them", routes: ofWorkers },
    { tag: "server", description: "For operators: the state of the whole", routes: ofServer },
  ];

  return {
    routes: setup.hasApi ? { ...ofTasks, ...ofWorkers, ...ofServer, ...createUiRoutes(setup) } : probes,
    close: () => {
      endEvents();
      claims.close();
    },
  };
}
