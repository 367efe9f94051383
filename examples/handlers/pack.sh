#!/usr/bin/env bash
# pack.sh FOLDER OUTPUT: packs a folder into OUTPUT. The file has another name until it is complete. Its "progress" lines
# are the task's progress, and its last line is the result. A cancel of the task ends the script and its child processes.
set -euo pipefail

folder=$1 output=$2
part=$output.$TASKTRACK_TASK_ID-$TASKTRACK_ATTEMPT.part
trap 'rm -f -- "$part"' EXIT
trap 'exit 143' TERM

[[ -d $folder ]] || { echo "$folder: no such folder" >&2; exit 66; } # another attempt would not find it either
files=$(find "$folder" | wc -l)
tar --create --gzip --verbose --file="$part" --directory="$folder" . |
  awk -v files="$files" '{ printf "progress %d %s\n", 100 * NR / files, $0; fflush() }'
mv -- "$part" "$output"
echo "{\"files\":$files,\"bytes\":$(wc -c <"$output")}"
