/** The example in Python. */
import { join } from "node:path";
import { examineWorker } from "./worker.suite.ts";

const FOLDER = join(import.meta.dir, "../../examples/python");

/** The worker with a test handler instead of the counting handler. */
const RESULTS = `
import datetime, sys
sys.dont_write_bytecode = True
sys.path.insert(0, ${JSON.stringify(FOLDER)})
import worker

class Broken(Exception):
    def __str__(self):
        raise ValueError("no words")

def work(task, lease):
    kind = task["payload"]["kind"]
    if kind == "echo": return task["payload"]
    if kind == "large": return "x" * 5_000_000
    if kind == "nan": return {"n": float("nan")}
    if kind == "datetime": return datetime.datetime(2026, 1, 1)
    if kind == "bytes": return b"\\xff"
    if kind == "circle":
        circle = []
        circle.append(circle)
        return circle
    if kind == "deep":
        deep = []
        for _ in range(100): deep = [deep]
        return deep
    if kind == "deeper":
        deep = []
        for _ in range(100_000): deep = [deep]
        return deep
    if kind == "large_error": raise Exception("x" * 5_000_000)
    if kind == "broken_error": raise Broken()
    if kind == "exit": sys.exit(3)
    if kind == "nan_progress":
        lease.report(float("nan"))
        lease.cancelled.wait(2)
    if kind == "not_utf8": return b"\\xff".decode(errors="surrogateescape")
    return "fine"

worker.work = work
worker.main()
`;

examineWorker("the worker in Python", {
  prepare: () => undefined,
  command: (server, type) => ["python3", join(FOLDER, "worker.py"), server, type],
  slots: 1,
  atOnce: 4,
  onStop: "finishes",
  results: {
    command: (server, type) => ["python3", "-c", RESULTS, server, type],
    kinds: {
      large: { status: "failed", code: "result_too_large" },
      nan: { status: "failed", code: "result_not_json" },
      datetime: { status: "failed", code: "result_not_json" },
      bytes: { status: "failed", code: "result_not_json" },
      circle: { status: "failed", code: "result_not_json" },
      deep: { status: "failed", code: "result_refused" },
      deeper: { status: "failed", code: "result_not_json" },
      large_error: { status: "failed", code: "handler_error" },
      broken_error: { status: "failed", code: "handler_error" },
      exit: { status: "failed", code: "handler_error" },
      nan_progress: { status: "done", result: "fine" },
      not_utf8: { status: "done", result: "\udcff" },
    },
  },
});
