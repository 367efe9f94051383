import type { TaskStore } from "../store/store.ts";
import type { TaskQueue } from "./queue.ts";
import { createStoreQueue } from "./store.ts";

/** The queue that QUEUE_URL names; config has already refused what is not built. */
export const openQueue = (store: TaskStore): TaskQueue => createStoreQueue(store);
