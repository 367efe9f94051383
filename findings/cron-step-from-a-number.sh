#!/usr/bin/env bash
# `5/15 * * * *` and `0 0 * * 1/2` each have three meanings in current cron libraries, and one library drops the step silently.
#
# Expected: a step after a single number ("every 15 minutes from minute 5", as in Quartz) has the same meaning in all libraries, or is
#   refused, as POSIX and croner do.
# Happens:
#   5/15 in the minutes: cron-parser, cron, cronosjs, croniter and cronsim run the task four times an hour; croner and node-cron
#   refuse the expression; cron-schedule accepts it and runs the task once an hour, at minute 5, without an error.
#   1/2 in the days of the week: in cron-parser, cron and cronsim the step includes Sunday as day 7, so that the task runs on
#   Monday, Wednesday, Friday and Sunday, that is, on two consecutive days every week; cronosjs and croniter stop at day 6 (Monday,
#   Wednesday, Friday); cron-schedule runs the task only on Monday.
# Versions: croner 11.0.1, cron-parser 5.10.6, cron 4.4.0, cronosjs 1.7.1, cron-schedule 6.0.0, node-cron 4.6.0 on Node.js 20;
#   croniter 7.0.0, cronsim 2.8 on Python 3.
# Matters: a schedule that is moved from one system to another runs on other days, without an error. A server should refuse this
#   form, and show the two clear forms (5-59/15, 1-6/2 or 1,3,5,7).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

npm init -y >/dev/null
npm install --silent --no-audit --no-fund croner@11.0.1 cron-parser@5.10.6 cron@4.4.0 cronosjs@1.7.1 cron-schedule@6.0.0 node-cron@4.6.0
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check croniter==7.0.0 cronsim==2.8

cat >next.mjs <<'JS'
import { Cron } from "croner";
import { CronExpressionParser } from "cron-parser";
import { CronTime } from "cron";
import { CronosExpression } from "cronosjs";
import { parseCronExpression } from "cron-schedule";
import { validate } from "node-cron";

const [, , expression] = process.argv;
const from = new Date("2026-12-01T00:00:00Z"); // a Tuesday
const COUNT = 6;
const many = (next) => Array.from({ length: COUNT }, next);

const libraries = {
  croner: () => new Cron(expression, { timezone: "UTC" }).nextRuns(COUNT, from),
  "cron-parser": () => {
    const dates = CronExpressionParser.parse(expression, { currentDate: from, tz: "UTC" });
    return many(() => dates.next().toDate());
  },
  cron: () => {
    const time = new CronTime(expression, "UTC");
    let at = from;
    return many(() => (at = time.getNextDateFrom(at, "UTC").toJSDate()));
  },
  cronosjs: () => CronosExpression.parse(expression, { timezone: "UTC" }).nextNDates(from, COUNT),
  "cron-schedule": () => parseCronExpression(expression).getNextDates(COUNT, from),
  "node-cron": () => {
    if (!validate(expression)) throw new Error();
    return [];
  },
};
for (const [name, next] of Object.entries(libraries)) {
  try {
    const dates = next().map((date) => `${date.toUTCString().slice(0, 3)} ${date.toISOString().slice(11, 16)}`);
    console.log(`${expression} ${name}: ${dates.join(", ")}`);
  } catch {
    console.log(`${expression} ${name}: refused`);
  }
}
JS
cat >next.py <<'PY'
import sys
from datetime import datetime, timezone
from croniter import croniter
from cronsim import CronSim
expression, start = sys.argv[1], datetime(2026, 12, 1, tzinfo=timezone.utc)
iterator = croniter(expression, start)
for name, next_date in [("croniter", lambda: iterator.get_next(datetime)), ("cronsim", CronSim(expression, start).__next__)]:
    print(f"{expression} {name}: " + ", ".join(next_date().strftime("%a %H:%M") for _ in range(6)))
PY

for expression in "5/15 * * * *" "0 0 * * 1/2"; do
  TZ=UTC node next.mjs "$expression"
  TZ=UTC venv/bin/python next.py "$expression"
done >seen

echo "node $(node --version), $(python3 --version)"
npm ls --depth 0 | tail -n +2
venv/bin/pip list --disable-pip-version-check 2>/dev/null | grep -E "^(croniter|cronsim) "
cat seen
four="Tue 00:05, Tue 00:20, Tue 00:35, Tue 00:50, Tue 01:05, Tue 01:20"
to_seven="Wed 00:00, Fri 00:00, Sun 00:00, Mon 00:00, Wed 00:00, Fri 00:00"
to_six="Wed 00:00, Fri 00:00, Mon 00:00, Wed 00:00, Fri 00:00, Mon 00:00"
cat >expected <<TXT
5/15 * * * * croner: refused
5/15 * * * * cron-parser: $four
5/15 * * * * cron: $four
5/15 * * * * cronosjs: $four
5/15 * * * * cron-schedule: Tue 00:05, Tue 01:05, Tue 02:05, Tue 03:05, Tue 04:05, Tue 05:05
5/15 * * * * node-cron: refused
5/15 * * * * croniter: $four
5/15 * * * * cronsim: $four
0 0 * * 1/2 croner: refused
0 0 * * 1/2 cron-parser: $to_seven
0 0 * * 1/2 cron: $to_seven
0 0 * * 1/2 cronosjs: $to_six
0 0 * * 1/2 cron-schedule: Mon 00:00, Mon 00:00, Mon 00:00, Mon 00:00, Mon 00:00, Mon 00:00
0 0 * * 1/2 node-cron: refused
0 0 * * 1/2 croniter: $to_six
0 0 * * 1/2 cronsim: $to_seven
TXT
diff expected seen && echo "as described"
