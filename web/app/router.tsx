/** The routes. Each page's code is loaded when the page is first opened. src/http/routes/ui.ts lists the same paths. */
import {
  createRootRoute,
  createRoute,
  createRouter,
  Link,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";
import { SearchX } from "lucide-react";
import type { ReactElement } from "react";
import { useWords } from "../i18n/language.ts";
import { shared } from "../i18n/shared.ts";
import { validateNewSearch } from "../pages/new/search.ts";
import { validateTasksSearch } from "../pages/tasks/search.ts";
import { EmptyState, ErrorState, Skeleton } from "../ui/states.tsx";
import { parseSearch, stringifySearch } from "./search.ts";
import { Shell } from "./shell.tsx";

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/tasks", replace: true });
  },
});

const tasks = createRoute({
  getParentRoute: () => root,
  path: "/tasks",
  validateSearch: validateTasksSearch,
  component: lazyRouteComponent(() => import("../pages/tasks/page.tsx"), "TasksPage"),
});

const task = createRoute({
  getParentRoute: () => root,
  path: "/tasks/$id",
  component: lazyRouteComponent(() => import("../pages/task/page.tsx"), "TaskPage"),
});

const newTask = createRoute({
  getParentRoute: () => root,
  path: "/new",
  validateSearch: validateNewSearch,
  component: lazyRouteComponent(() => import("../pages/new/page.tsx"), "NewTaskPage"),
});

const overview = createRoute({
  getParentRoute: () => root,
  path: "/overview",
  component: lazyRouteComponent(() => import("../pages/overview/page.tsx"), "OverviewPage"),
});

export const router = createRouter({
  routeTree: root.addChildren([home, tasks, task, newTask, overview]),
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  defaultPendingComponent: () => <Skeleton rows={8} />,
  defaultErrorComponent: ({ error, reset }) => <ErrorState error={error} onRetry={reset} />,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

function NotFound(): ReactElement {
  const t = useWords(shared);
  return (
    <EmptyState icon={SearchX} title={t.notFoundTitle}>
      <p>{t.notFoundText}</p>
      <Link to="/tasks" className="button plain">
        {t.toTasks}
      </Link>
    </EmptyState>
  );
}
