/** The exit codes of the command line. */
export const OK = 0;
/** The server refused a request, or did not answer. */
export const FAILED = 1;
/** The command line is invalid. */
export const USAGE = 2;
export const TASK_FAILED = 3;
/** The task was cancelled or deleted. */
export const TASK_CANCELLED = 4;
