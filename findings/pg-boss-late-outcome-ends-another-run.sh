#!/usr/bin/env bash
# pg-boss: a worker whose job has expired, and which another worker runs now, ends the other worker's run: its late complete() succeeds, and its
# late fail() gives the job to a third worker while the second one still works.
#
# Expected: an outcome names the run that it belongs to. The late worker gets an error, or its call affects no job, and the run of the second
#   worker continues.
# Happens: complete() and fail() take a queue and an id, and act on whichever run is active. The late complete() affects 1 job and stores the
#   output of the run that was given up; the complete() of the worker that holds the job affects 0 and rejects nothing. After a late
#   fail() the job is in "retry", and the next fetch() returns it: two workers run it at the same time.
# Versions: pg-boss 12.38.0 on PGlite 0.5.17 (PostgreSQL in the process) and Bun 1.4.5; the SQL is the same on a server.
# Matters: expireInSeconds seems to bound how long a stalled worker holds a job. A worker that only was slow (a suspended laptop, a long pause of
#   the runtime) still decides the job's result. Check `affected`, write results under a key of your own, and let handlers end before the expiry.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

npm init -y >/dev/null
npm install --silent --no-audit --no-fund pg-boss@12.38.0 @electric-sql/pglite@0.5.17 bun@1.4.5

cat >late.mjs <<'JS'
import { PGlite } from "@electric-sql/pglite";
import { PgBoss } from "pg-boss";

const database = new PGlite();
async function executeSql(text, values) {
  if (values?.length) return database.query(text, values);
  const results = await database.exec(text);
  return results.length === 1 ? results[0] : results;
}
const boss = new PgBoss({ db: { executeSql }, supervise: false, schedule: false });
boss.on("error", (error) => console.log("error", error.message));
await boss.start();

/** A job whose time at worker A is over, and which worker B runs now. */
async function takenOver(queue) {
  await boss.createQueue(queue, { retryLimit: 3, retryDelay: 0, expireInSeconds: 1 });
  const id = await boss.send(queue, {});
  const [atA] = await boss.fetch(queue);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await boss.supervise(queue);
  const [atB] = await boss.fetch(queue);
  if (atA?.id !== id || atB?.id !== id) throw new Error("the job was not taken over");
  return id;
}

async function show(what, queue, id, { affected }) {
  const { state, output } = await boss.getJobById(queue, id);
  console.log(`${what}: affected ${affected}, then ${state} ${JSON.stringify(output)}`);
}

const first = await takenOver("one");
await show("A completes late", "one", first, await boss.complete("one", first, { from: "A" }));
await show("B completes", "one", first, await boss.complete("one", first, { from: "B" }));

const second = await takenOver("two");
await show("A fails late", "two", second, await boss.fail("two", second, { from: "A" }));
const [third] = await boss.fetch("two");
console.log(`C is given the job that B still runs: ${third?.id === second}`);
process.exit(0);
JS

node_modules/.bin/bun late.mjs >seen
npm ls --depth 0 | tail -n +2
cat seen
cat >expected <<'TXT'
A completes late: affected 1, then completed {"from":"A"}
B completes: affected 0, then completed {"from":"A"}
A fails late: affected 1, then retry {"from":"A"}
C is given the job that B still runs: true
TXT
diff expected seen && echo "as described"
