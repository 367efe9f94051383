/**
 * Principals and the scopes that routes need. The anonymous principal is the only one until there are keys.
 */
const SCOPES = ["submit", "read", "work", "manage", "admin"] as const;

/**
 * What a principal may do. `manage`: cancel, retry, edit and delete tasks, drain workers. `admin`: decide
 * which principals there are. No scope implies another.
 */
export type Scope = (typeof SCOPES)[number];

/** The scope that a route needs. `open`: no scope is needed, as for probes and the files of the web UI. */
export type Access = Scope | "open";

export type Principal = { readonly name: string; readonly scopes: ReadonlySet<Scope> };

/** The principal of every request, as long as there are no keys. */
export const ANONYMOUS: Principal = { name: "anonymous", scopes: new Set(SCOPES) };

export const mayCall = ({ scopes }: Principal, access: Access): boolean =>
  access === "open" || scopes.has(access);
