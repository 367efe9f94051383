/** All routes: each path with its methods, in the sections of the OpenAPI document. */

import { type ClaimsSetup, createClaims } from "./claims.ts";
import { createOpenApiRoute, type Section } from "./openapi.ts";
import type { Routes } from "./route.ts";
import { type BulkSetup, createBulkRoute } from "./routes/bulk.ts";
import { type ClaimSetup, createClaimRoutes } from "./routes/claim.ts";
import { type CreateSetup, createCreateRoute } from "./routes/create-task.ts";
import { createDrainRoutes, type DrainSetup } from "./routes/drain.ts";
import { createEventRoutes, type EventsSetup } from "./routes/events.ts";
import { createExplainRoute, type ExplainSetup } from "./routes/explain.ts";
import { createHealthRoutes, type HealthSetup } from "./routes/health.ts";
import { createHeartbeatRoute, type HeartbeatSetup } from "./routes/heartbeat.ts";
import { createListRoute, type ListSetup } from "./routes/list-tasks.ts";
import { createCompleteManyRoute, createOutcomeRoutes, type OutcomesSetup } from "./routes/outcomes.ts";
import { createStatsRoute, type StatsSetup } from "./routes/stats.ts";
import { createStepRoutes, type StepsSetup } from "./routes/steps.ts";
import { createTaskRoutes, type TaskSetup } from "./routes/task.ts";
import { createUiRoutes, type UiSetup } from "./routes/ui.ts";

export type RoutesSetup = HealthSetup &
  UiSetup &
  ListSetup &
  BulkSetup &
  CreateSetup &
  TaskSetup &
  StepsSetup &
  EventsSetup &
  ExplainSetup &
  StatsSetup &
  ClaimsSetup &
  Omit<ClaimSetup & DrainSetup & OutcomesSetup & HeartbeatSetup, "claims"> & {
    /** Whether the server has the API and the web UI, or only the probes. */
    readonly hasApi: boolean;
    readonly version: string;
  };

export type RouteTable = {
  readonly routes: Routes;
  /** Ends the event streams and the claims that wait. */
  readonly close: () => void;
};

export function createRouteTable(setup: RoutesSetup): RouteTable {
  const task = createTaskRoutes(setup);
  const steps = createStepRoutes(setup);
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
    "/api/task": { GET: createListRoute(setup), POST: createCreateRoute(setup) },
    "/api/task/bulk": { POST: createBulkRoute(setup) },
    "/api/task/:id": { GET: task.get, PATCH: task.edit, DELETE: task.remove },
    "/api/task/:id/cancel": { POST: steps.cancel },
    "/api/task/:id/retry": { POST: steps.retry },
    "/api/task/:id/log": { GET: task.readLog },
    "/api/task/:id/explain": { GET: createExplainRoute(setup) },
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
    "/api/stats": { GET: createStatsRoute(setup) },
    ...probes,
    "/openapi.json": { GET: createOpenApiRoute(() => sections, setup.version) },
  };
  const sections: readonly Section[] = [
    { tag: "tasks", description: "For clients: submit work and follow it", routes: ofTasks },
    { tag: "workers", description: "For workers: claim tasks and report on them", routes: ofWorkers },
    { tag: "server", description: "For operators: the state of the server", routes: ofServer },
  ];

  return {
    routes: setup.hasApi ? { ...ofTasks, ...ofWorkers, ...ofServer, ...createUiRoutes(setup) } : probes,
    close: () => {
      endEvents();
      claims.close();
    },
  };
}
