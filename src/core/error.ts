/** Why a request was refused, as a code with a fixed meaning for programs; `message` is for people. */
export type ErrorCode =
  | "invalid" // a value breaks a rule; `fields` says which
  | "not_found" // no task has this id
  | "wrong_status" // the task's status does not allow this step
  | "version_mismatch" // the task does not have the version that the step requires
  | "key_taken" // another live task has the same `key`
  | "lease_lost" // the worker no longer holds the task
  | "idempotency_mismatch" // the idempotency key was used with another body
  | "overloaded" // too many calls wait; try again
  | "store_unavailable" // the store did not answer; it is not known whether it has written
  | "store_rejected"; // the store proved that it wrote nothing

/** One invalid field: a JSON Pointer into the request, and what was expected there. */
export type FieldFault = { readonly pointer: string; readonly detail: string };

/** The highest number of faults that one refusal lists: a request may have tens of thousands. */
export const FIELD_FAULTS_LISTED = 100;

/**
 * An expected refusal. The pure rules, the engine and the stores throw it, and one place turns it into an answer. Any other error is
 * a defect.
 */
export class TaskError extends Error {
  override readonly name = "TaskError";
  readonly code: ErrorCode;
  readonly fields: readonly FieldFault[];
  /** The number of invalid fields that `fields` leaves out. */
  readonly fieldsOmitted: number;

  constructor(code: ErrorCode, message: string, fields: readonly FieldFault[] = [], fieldsOmitted = 0) {
    super(message);
    this.code = code;
    this.fields = fields;
    this.fieldsOmitted = fieldsOmitted;
  }
}

/** Whether a thrown value is a refusal, with this code if one is given. */
export const isTaskError = (error: unknown, code?: ErrorCode): error is TaskError =>
  error instanceof TaskError && (code === undefined || error.code === code);
