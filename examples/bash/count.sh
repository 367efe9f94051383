#!/usr/bin/env bash
# A command for worker.sh: counts to the payload's seconds. It reads the payload from stdin, and writes its progress to a file and its result to stdout.
set -eu

seconds=$(jq -er '.seconds | numbers') || {
  echo 'payload.seconds: expected a number' >&2
  exit 1
}
tenths=$(jq -n "$seconds * 10 | floor")

for ((n = 0; n < tenths; n++)); do
  echo "$((100 * n / tenths)) counting" >"$TASKTRACK_PROGRESS"
  sleep 0.1
done
jq -nc --argjson seconds "$seconds" '{counted: $seconds, by: env.TASKTRACK_WORKER}'
