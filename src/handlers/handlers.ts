/**
 * The exports of "tasktrack/handlers": functions that make handlers, and the verdicts. The server provides
 * them, so that a module needs no installed package.
 */
export type { Handler, HandlerContext, HandlerTask, Verdict } from "../processor/handler.ts";
export { fail, snooze } from "../processor/handler.ts";
export { command } from "./command.ts";
export { http } from "./http.ts";
export type { Handlers, HandlerWithDefaults } from "./module.ts";
