/**
 * What a module of handlers may import, as "tasktrack/handlers": the makers and the verdicts. The server brings it along, so
 * that a module needs nothing installed beside it.
 */
export type { Handler, HandlerContext, HandlerTask, Verdict } from "../processor/handler.ts";
export { fail, snooze } from "../processor/handler.ts";
export { command } from "./command.ts";
export { http } from "./http.ts";
export type { Handlers, HandlerWithDefaults } from "./module.ts";
