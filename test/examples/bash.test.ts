/** The example in bash. */
import { join } from "node:path";
import { findBinary, findOrInstall } from "../support/servers/runner.ts";
import { examineWorker } from "./worker.suite.ts";

const SCRIPT = join(import.meta.dir, "../../examples/bash/worker.sh");

/** The programs that the script needs, with their Debian packages. */
const TOOLS = [
  ["curl", "curl"],
  ["jq", "jq"],
  ["ps", "procps"],
  ["grep", "grep"],
  ["awk", "mawk"],
] as const;

function install(): void {
  for (const [name, debianPackage] of TOOLS) {
    if (findOrInstall({ name, debianPackage, find: () => findBinary(name) }) === null) {
      throw new Error(`the test of the worker in bash needs ${name}: install Debian's ${debianPackage}`);
    }
  }
}

/** A command that writes the output that the payload selects. */
const WORK = `
many() { head -c "$1" /dev/zero | tr '\\0' "$2"; }
payload=$(cat)
case $(jq -r .kind <<<"$payload") in
large) many 5000000 x ;;
large_in_json) many 1000000 '"' ;;
not_utf8_json) printf '"\\xff"' ;;
deep) many 100 '['; many 100 ']' ;;
large_error) many 5000000 x >&2; exit 7 ;;
large_progress) { echo -n '150 '; many 5000000 x; } >"$TASKTRACK_PROGRESS"; sleep 2; echo '"fine"' ;;
nan) echo '{"n":NaN}' ;;
not_utf8) printf '\\xff\\n' ;;
digits) echo ' {"n": 12345678} ' ;;
nothing) ;;
echo) printf '%s' "$payload" ;;
esac
`;

examineWorker("the worker in bash", {
  prepare: install,
  command: (server, type) => ["bash", SCRIPT, server, type],
  slots: 1,
  atOnce: 2,
  onStop: "releases",
  results: {
    command: (server, type) => ["bash", SCRIPT, server, type, "bash", "-c", WORK],
    kinds: {
      large: { status: "failed", code: "result_too_large" },
      large_in_json: { status: "failed", code: "result_too_large" },
      not_utf8_json: { status: "failed", code: "result_refused" },
      deep: { status: "failed", code: "result_refused" },
      large_error: { status: "failed", code: "exit_7" },
      large_progress: { status: "done", result: "fine" },
      nan: { status: "done", result: '{"n":NaN}\n' },
      not_utf8: { status: "done", result: "\ufffd\n" },
      digits: { status: "done", result: { n: 12345678 } },
      nothing: { status: "done", result: null },
    },
  },
});
