/** The methods of the client that change something. */
import { systemChance } from "../lib/system-chance.ts";
import type { Api, ApiAnswer } from "./api.ts";
import { bodyOf } from "./body.ts";
import type { Cancellable, Client, Created, CreateOptions, IfVersion } from "./methods.ts";
import { answered, asLists, isCode, pathOf, stepHeaders } from "./requests.ts";
import type { BulkPreview, BulkRequest, BulkResult, Task, TaskPatch, TaskSpec } from "./types.ts";

/** How often `retry` reads the task again because it changed between the read and the call. */
const RETRIES_OF_RETRY = 10;

type Changes = Pick<
  Client,
  "create" | "createMany" | "edit" | "cancel" | "retry" | "remove" | "drain" | "bulk" | "bulkPreview"
>;

export function createChanges(api: Api, { get }: Pick<Client, "get">): Changes {
  function post<T>(body: string, options: CreateOptions): Promise<ApiAnswer<T> | null> {
    return api.send<T>({
      method: "POST",
      path: "/api/task",
      body,
      headers: { "idempotency-key": options.idempotencyKey ?? systemChance.nonce() },
      signal: options.signal,
    });
  }

  async function create(spec: TaskSpec, options: CreateOptions = {}): Promise<Created> {
    const answer = await post<{ readonly task_id: number }>(bodyOf(spec), options);
    return { id: answered(answer).task_id, existing: answer?.status === 200 };
  }

  async function createMany(
    specs: readonly TaskSpec[],
    options: CreateOptions = {},
  ): Promise<readonly number[]> {
    const body = `[${specs.map(bodyOf).join()}]`;
    return answered(await post<{ readonly task_ids: readonly number[] }>(body, options)).task_ids;
  }

  async function edit(id: number, patch: TaskPatch, options: IfVersion & Cancellable = {}): Promise<void> {
    const { signal, ifVersion } = options;
    const body = bodyOf(patch);
    await api.send({ method: "PATCH", path: pathOf(id), body, headers: stepHeaders(ifVersion), signal });
  }

  async function cancel(id: number, options: IfVersion & Cancellable = {}): Promise<Task> {
    const { signal, ifVersion } = options;
    const answer = await api.send<Task>({
      ...{ method: "POST", path: `${pathOf(id)}/cancel`, headers: stepHeaders(ifVersion), signal },
      doneWhen: ifVersion === undefined ? ["wrong_status"] : ["wrong_status", "version_mismatch"],
    });
    return answer?.body ?? get(id, options);
  }

  async function retry(id: number, options: IfVersion & Cancellable = {}): Promise<Task> {
    for (let tries = 1; ; tries++) {
      const ifVersion = options.ifVersion ?? (await get(id, options)).version;
      try {
        const answer = await api.send<Task>({
          ...{
            method: "POST",
            path: `${pathOf(id)}/retry`,
            headers: stepHeaders(ifVersion),
            signal: options.signal,
          },
          doneWhen: ["version_mismatch"],
        });
        return answer?.body ?? (await get(id, options));
      } catch (error) {
        const isOutdated = isCode(error, "version_mismatch") && options.ifVersion === undefined;
        if (!isOutdated || tries === RETRIES_OF_RETRY) throw error;
      }
    }
  }

  async function remove(id: number, options: IfVersion & Cancellable = {}): Promise<void> {
    const { signal, ifVersion } = options;
    const headers = stepHeaders(ifVersion);
    await api.send({ method: "DELETE", path: pathOf(id), headers, signal, doneWhen: ["not_found"] });
  }

  async function bulkAs<T>(request: BulkRequest & { readonly dry_run?: true }, { signal }: Cancellable = {}) {
    const body = JSON.stringify({ ...request, filter: asLists(request.filter) });
    return answered(await api.send<T>({ method: "POST", path: "/api/task/bulk", body, signal }));
  }

  return {
    ...{ create, createMany, edit, cancel, retry, remove },
    drain: async (worker, isDraining, { signal } = {}) => {
      const path = `/api/worker/${encodeURIComponent(worker)}/drain`;
      await api.send({ method: isDraining ? "POST" : "DELETE", path, signal });
    },
    bulk: (request, options) => bulkAs<BulkResult>(request, options),
    bulkPreview: (request, options) => bulkAs<BulkPreview>({ ...request, dry_run: true }, options),
  };
}
