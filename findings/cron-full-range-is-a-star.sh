#!/usr/bin/env bash
# Where day of month and day of week are both given, cron joins them with "or", except if one of them is a star. What counts as a star differs:
# `0 0 1-31 * 1` fires every day in five libraries and on Mondays alone in two; `0 0 */2 * 1` fires on 18 days of a month in six and on 2 in one.
#
# Expected: `1-31` and `*` name the same days, so they mean the same beside a day of the week; or a library follows the rule of the first
#   crons, which looks at the first character of the field.
# Happens:
#   1-31 with Monday: cron and cron-schedule take the full range for a star (Mondays alone). croner, cron-parser, cronosjs, croniter and
#   cronsim join it with "or" (every day).
#   */2 with Monday: cronsim takes it for a star, as the first crons do, and fires on Mondays with an odd date (2 days of that month). All the
#   others join it with "or" (all odd dates and all Mondays, 18 days of December 2026).
#   So no two of the three groups agree on both forms.
# Versions: croner 11.0.1, cron-parser 5.10.6, cron 4.4.0, cronosjs 1.7.1, cron-schedule 6.0.0 on Node.js 20; croniter 7.0.0, cronsim 2.8
#   on Python 3.
# Matters: the same line runs a weekly job daily, or a job of every second day twice a month, after a move to another scheduler. No library warns. A
#   server should say in words what an expression with both fields means before it is saved.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

npm init -y >/dev/null
npm install --silent --no-audit --no-fund croner@11.0.1 cron-parser@5.10.6 cron@4.4.0 cronosjs@1.7.1 cron-schedule@6.0.0
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check croniter==7.0.0 cronsim==2.8

# Each prints the days of December 2026 (the 1st is a Tuesday) on which the expression fires.
cat >days.mjs <<'JS'
import { CronTime } from "cron";
import { CronExpressionParser } from "cron-parser";
import { parseCronExpression } from "cron-schedule";
import { Cron } from "croner";
import { CronosExpression } from "cronosjs";

const [, , expression] = process.argv;
const from = new Date("2026-11-30T23:59:00Z");
const until = new Date("2027-01-01T00:00:00Z");
const next = {
  croner: (at) => new Cron(expression, { timezone: "UTC" }).nextRun(at),
  "cron-parser": (at) => CronExpressionParser.parse(expression, { currentDate: at, tz: "UTC" }).next().toDate(),
  cron: (at) => new CronTime(expression, "UTC").getNextDateFrom(at, "UTC").toJSDate(),
  cronosjs: (at) => CronosExpression.parse(expression, { timezone: "UTC" }).nextDate(at),
  "cron-schedule": (at) => parseCronExpression(expression).getNextDate(at),
};
for (const [name, after] of Object.entries(next)) {
  const days = [];
  for (let at = after(from); at < until; at = after(at)) days.push(at.getUTCDate());
  console.log(`${expression} ${name}: ${days.join(" ")}`);
}
JS
cat >days.py <<'PY'
import sys
from datetime import datetime, timezone
from croniter import croniter
from cronsim import CronSim

expression = sys.argv[1]
start = datetime(2026, 11, 30, 23, 59, tzinfo=timezone.utc)
end = datetime(2027, 1, 1, tzinfo=timezone.utc)
for name, dates in (("croniter", croniter(expression, start, ret_type=datetime)), ("cronsim", CronSim(expression, start))):
    days = []
    while (at := next(dates)) < end:
        days.append(str(at.day))
    print(f"{expression} {name}: {' '.join(days)}")
PY

node --version
npm ls --depth=0 2>/dev/null | sed -n '2,$p'
venv/bin/pip list --format=freeze --disable-pip-version-check 2>/dev/null | grep -i '^cron'
for expression in '0 0 1-31 * 1' '0 0 */2 * 1'; do
  TZ=UTC node days.mjs "$expression"
  venv/bin/python days.py "$expression"
done | tee seen

all='1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31'
mondays='7 14 21 28'
odd_or_monday='1 3 5 7 9 11 13 14 15 17 19 21 23 25 27 28 29 31'
expect() { grep -qxF "$1 $2: $3" seen || { echo "changed: $1 $2" >&2; exit 1; }; }
for name in croner cron-parser cronosjs croniter cronsim; do expect '0 0 1-31 * 1' "$name" "$all"; done
for name in cron cron-schedule; do expect '0 0 1-31 * 1' "$name" "$mondays"; done
for name in croner cron-parser cron cronosjs cron-schedule croniter; do expect '0 0 */2 * 1' "$name" "$odd_or_monday"; done
expect '0 0 */2 * 1' cronsim '7 21'
echo "as described"
