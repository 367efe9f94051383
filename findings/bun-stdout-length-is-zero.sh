#!/usr/bin/env bash
# Bun: process.stdout.writableLength is 0 while megabytes of output wait for a slow reader.
#
# Expected: as on Node.js, writableLength is the number of bytes that a slow pipe has not accepted yet, so that a program can limit
#   the output that it keeps in memory (a log, an export).
# Happens: under Bun, write() returns false and its callbacks are called late, which is correct, but writableLength is always 0.
# Versions: bun 1.4.5, compared with Node.js 20.
# Matters: a server that limits its log by writableLength has no limit under Bun. Instead, count the bytes that were written, and
#   subtract the bytes whose callbacks were called.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

npm init -y >/dev/null
npm install --silent --no-audit --no-fund --allow-scripts=bun bun@1.4.5 >/dev/null 2>&1 || npm install --silent --no-audit --no-fund bun@1.4.5
[ -x node_modules/bun/bin/bun.exe ] && node node_modules/bun/install.js >/dev/null 2>&1 || true

cat >write.mjs <<'JS'
// 30 writes of one MiB into a pipe whose reader sleeps; then a look at what the stream says of itself.
const piece = Buffer.alloc(1 << 20, 97);
let calledBack = 0;
let refused = 0;
for (let n = 0; n < 30; n++) if (!process.stdout.write(piece, () => calledBack++)) refused++;
await new Promise((resolve) => setTimeout(resolve, 500));
const { writableLength } = process.stdout;
const say = (fact) => process.stderr.write(`${process.argv[2]}: ${fact}\n`);
say(`some writes not called back yet: ${calledBack < 30}`);
say(`writableLength above 1 MiB: ${writableLength > 1 << 20}`);
say(`write() said false: ${refused > 0}`);
process.exit();
JS
bun=node_modules/bun/bin/bun.exe
{
  { "$bun" write.mjs bun | (sleep 3; cat >/dev/null); } 2>&1
  { node write.mjs node | (sleep 3; cat >/dev/null); } 2>&1
} >seen

echo "node $(node --version), bun $("$bun" --version)"
cat seen
cat >expected <<'TXT'
bun: some writes not called back yet: true
bun: writableLength above 1 MiB: false
bun: write() said false: true
node: some writes not called back yet: true
node: writableLength above 1 MiB: true
node: write() said false: true
TXT
diff expected seen && echo "as described"
