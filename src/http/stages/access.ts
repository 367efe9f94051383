import { mayCall } from "../access.ts";
import type { Call } from "../route.ts";

/**
 * Refuses a call whose principal lacks the scope of the route. The anonymous principal has all scopes and is
 * the only one, so a principal without a scope is a defect and is answered as one. There is no problem code
 * for it yet.
 */
export function checkAccess(call: Call): Call {
  const { principal, route } = call;
  if (mayCall(principal, route.access)) return call;
  throw new Error(`${principal.name} lacks the scope ${route.access} of ${route.id}`);
}
