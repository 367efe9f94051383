#!/usr/bin/env bash
# pack.sh FOLDER OUTPUT: packs a folder into OUTPUT, which is written under another name until it is whole. Of what it says, "progress"
# is the task's progress and the last line its result. Whoever cancels the task ends the script with all that it has started.
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
