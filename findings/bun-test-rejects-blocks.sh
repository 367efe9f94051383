#!/usr/bin/env bash
# bun:test: `expect(promise).rejects` blocks the process until the promise has settled, even if the result is not awaited.
#
# Expected: as in Jest and Vitest, `expect(promise).rejects.toThrow()` returns a promise at once. The test continues, and later code
#   of the same turn (here: the code that makes the promise reject) runs.
# Happens: the call does not return before the promise has settled. If later code of the test must settle the promise, the test
#   hangs, and its own time limit does not end it. A timer that was set before does fire: the event loop runs inside the call.
# Versions: bun 1.4.5; the same test passes in Vitest 3.2.4 on Node.js 20.
# Matters: tests such as "this call is refused after that call was answered" are often written as
#   Promise.all([expect(first).rejects.toThrow(), settle()]). In bun:test, keep the promise, and assert after it has settled.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

npm init -y >/dev/null
npm install --silent --no-audit --no-fund --allow-scripts=bun bun@1.4.5 vitest@3.2.4 >/dev/null 2>&1 || npm install --silent --no-audit --no-fund bun@1.4.5 vitest@3.2.4
[ -x node_modules/bun/bin/bun.exe ] && node node_modules/bun/install.js >/dev/null 2>&1 || true

cat >body.mjs <<'JS'
export function define({ test, expect }) {
  test("a promise that is rejected by the rest of the test", async () => {
    const { promise, reject } = defer();
    const asserted = expect(promise).rejects.toThrow("refused");
    console.log("the test went on");
    reject(new Error("refused"));
    await asserted;
  });
  test("a promise that a timer rejects", async () => {
    const { promise, reject } = defer();
    let isRejected = false;
    setTimeout(() => {
      isRejected = true;
      reject(new Error("refused"));
    }, 50);
    const asserted = expect(promise).rejects.toThrow("refused");
    console.log(`rejected when the call returned: ${isRejected}`);
    await asserted;
  });
}
function defer() {
  let reject;
  const promise = new Promise((_, no) => (reject = no));
  return { promise, reject };
}
JS
echo 'import { expect, test } from "bun:test"; import { define } from "./body.mjs"; define({ test, expect });' >bun.test.mjs
echo 'import { expect, test } from "vitest"; import { define } from "./body.mjs"; define({ test, expect });' >vitest.spec.mjs
bun=node_modules/bun/bin/bun.exe

run() { # name, limit in seconds, command
  local name=$1 limit=$2 code=0
  shift 2
  timeout -s KILL "$limit" "$@" >out 2>&1 || code=$?
  grep -aoE "the test went on|rejected when the call returned: (true|false)" out | sed "s/^/$name: /" || true
  case $code in 137) echo "$name: stands after $limit s" ;; 0) echo "$name: passes" ;; *) echo "$name: exit code $code" ;; esac
}
{
  run "bun, the test settles it" 20 "$bun" test --timeout 2000 -t "rest of the test" ./bun.test.mjs
  run "bun, a timer settles it" 20 "$bun" test --timeout 2000 -t "timer rejects" ./bun.test.mjs
  run "vitest, the test settles it" 120 npx vitest run --reporter=basic -t "rest of the test" vitest.spec.mjs
  run "vitest, a timer settles it" 120 npx vitest run --reporter=basic -t "timer rejects" vitest.spec.mjs
} >seen 2>/dev/null

echo "node $(node --version), bun $("$bun" --version), vitest $(node -p 'require("vitest/package.json").version')"
cat seen
cat >expected <<'TXT'
bun, the test settles it: stands after 20 s
bun, a timer settles it: rejected when the call returned: true
bun, a timer settles it: passes
vitest, the test settles it: the test went on
vitest, the test settles it: passes
vitest, a timer settles it: rejected when the call returned: false
vitest, a timer settles it: passes
TXT
diff expected seen && echo "as described"
