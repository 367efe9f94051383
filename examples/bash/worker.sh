#!/usr/bin/env bash
# A TaskTrack worker in bash, with curl and jq. See README.md in this folder.
#
#   ./worker.sh http://localhost:8080 count ./count.sh
#
# Claims one task of a type after another, runs a command for it, and reports the outcome.
set -u
set -m # each job is a process group, so that it can be ended with all that it has started

server=${1:-http://localhost:8080}
type=${2:-count}
work=("${@:3}")
((${#work[@]})) || work=("$(dirname "$0")/count.sh")
lease=${LEASE_SECONDS:-30} # whole seconds
seconds() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }
third=$(seconds $((lease * 1000 / 3)))
sixth=$(seconds $((lease * 1000 / 6)))
worker=$HOSTNAME-$$
result_bytes=1048576 # a larger result is not kept

stopping='' # claim no more tasks, release the running task
draining='' # claim no more tasks, finish the running task
refusal=''  # the answer to the last outcome
job=''      # the process group that the script waits for: the claim, or the work

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
trap 'stopping=1; end_group "$job"' TERM INT

# end_group GROUP: sends SIGTERM, and two seconds later SIGKILL to the remaining processes.
end_group() {
  local tenth
  [[ $1 ]] || return
  kill -TERM -- "-$1" 2>/dev/null
  for tenth in {1..20}; do
    kill -0 -- "-$1" 2>/dev/null || return
    sleep 0.1
  done
  kill -KILL -- "-$1" 2>/dev/null
}

# await GROUP: waits until a job has ended, and returns its status. A signal to the worker ends the job; await then waits for its end.
await() {
  local status
  job=$1
  [[ $stopping ]] && end_group "$job" # the signal came before the job was known
  wait "$job"
  status=$?
  while kill -0 "$job" 2>/dev/null; do
    wait "$job"
    status=$?
  done
  kill -KILL -- "-$job" 2>/dev/null # the processes that the job has left
  job=''
  return $status
}

# post PATH SECONDS: sends the JSON on stdin and prints the answer. 0: success; 1: the request may be repeated; 2: refused, also if it
# is repeated; 3: the lease is lost.
post() {
  local answer
  answer=$(curl -sS --max-time "$2" -H 'Content-Type: application/json' --data-binary @- \
    -w '\n%{http_code}' "$server$1") || return 1
  printf '%s\n' "${answer%$'\n'*}"
  case ${answer##*$'\n'} in
  2??) return 0 ;;
  429 | 5??) return 1 ;;
  409) return 3 ;;
  *) return 2 ;;
  esac
}

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# claim: waits for a task and writes the answer into the file claim. The wait is short, so that less than half of a lease is over when its
# task arrives. Without an answer, as after a signal, it sends a leave: the server ends the claim, which a proxy may have kept open, and
# releases its task.
claim() {
  local body request=$worker-$EPOCHREALTIME status
  body=$(jq -nc --arg worker "$worker" --arg type "$type" --arg lease "${lease}s" --arg wait "${sixth}s" --arg request "$request" \
    '{$worker, types: [$type], max: 1, $lease, $wait, $request}')
  claimed_at=$(now_ms)
  post /api/worker/claim "$lease" <<<"$body" >"$files/claim" &
  await $!
  status=$?
  ((status == 0)) && return
  jq -nc --arg worker "$worker" --arg request "$request" '{$worker, requests: [$request]}' |
    post /api/worker/leave "$third" >"$files/leave"
  return $status
}

# beat ID TOKEN GROUP: renews the lease after each third of its length. Ends the command when the task is cancelled or lost, and writes
# that into the file verdict. Also ends the command when the worker has ended.
beat() {
  local renewed_at=$claimed_at self=$BASHPID body answer status
  while sleep "$third"; do
    if (($(ps -o ppid= -p "$self") != $$)); then # the worker was killed: no process can report the outcome
      end_group "$3"
      rm -rf "$files"
      return
    fi
    status=ok
    if is_held; then # otherwise another worker may have the task, as after the machine was suspended
      body=$(beat_body "$1" "$2")
      answer=$(post /api/worker/heartbeat "$third" <<<"$body") && renewed_at=$(now_ms) &&
        status=$(jq -r '.leases[0].status' <<<"$answer")
      [[ $(jq -r .directive <<<"$answer" 2>/dev/null) =~ drain|stop ]] && touch "$files/drain"
    fi
    is_held || status=lost
    [[ $status == ok ]] && continue
    echo "$status" >"$files/verdict"
    end_group "$3"
    [[ $status == lost ]] && return
  done
}

# is_held: for beat; whether less than five sixths of the lease are over.
is_held() { (($(now_ms) - renewed_at < lease * 5000 / 6)); }

# beat_body ID TOKEN: a heartbeat with the progress of the command. The progress is made valid, so that the server accepts the heartbeat.
beat_body() {
  local percent message
  read -r percent message < <(head -c 4096 "$files/progress")
  jq -nc --arg worker "$worker" --argjson id "$1" --arg token "$2" --arg percent "${percent:0:20}" --arg message "${message:0:4000}" \
    '($percent | tonumber? // null | if . == null or isnan then null else [0, ([100, .] | min)] | max end) as $percent
     | {$worker, leases: [{$id, $token} + if $percent then {progress: {$percent, $message}} else {} end]}'
}

# settle VERB ID: ends the attempt with the file body. It repeats the request until the server answers or the lease is lost; a repetition
# has no further effect. After SIGTERM it tries for a third of a lease. Returns the status of post.
settle() {
  local answer status pause=1 until=''
  while :; do
    answer=$(post "/api/task/$2/$1" "$third" <"$files/body")
    status=$?
    ((status == 1)) || break
    [[ $(<"$files/verdict") == lost ]] && break
    if [[ $stopping ]]; then
      until=${until:-$(($(now_ms) + lease * 1000 / 3))}
      (($(now_ms) < until)) || break
    fi
    sleep "$pause"
    ((pause = pause < 5 ? pause + 1 : 5))
  done
  ((status == 0)) || echo "task $2: $1 failed: ${answer:0:1000}" >&2
  refusal=${answer:0:1000}
  return $status
}

give_back() {
  jq -nc --arg token "$2" '{$token}' >"$files/body"
  settle release "$1"
}

# fail ID TOKEN CODE RETRYABLE: reads the message from stdin.
fail() {
  head -c 4000 | jq -Rsc --arg token "$2" --arg code "$3" --argjson retryable "$4" \
    '{$token, error: {$code, message: rtrimstr("\n")}, $retryable}' >"$files/body"
  settle fail "$1"
}

# complete ID TOKEN: sends the output as the result: JSON unchanged, other output as a text. A result that cannot be sent, or that the
# server refuses, fails the task permanently, because another attempt would have the same result.
complete() {
  local size
  size=$(wc -c <"$files/output")
  if ((size <= result_bytes)); then
    { printf '{"token":%s,"result":' "$(jq -n --arg token "$2" '$token')"; result; echo '}'; } >"$files/body"
    size=$(($(wc -c <"$files/body") - ${#2} - 24)) # without the JSON around the result
  fi
  if ((size > result_bytes)); then
    fail "$1" "$2" result_too_large false <<<"The result has $size bytes; at most $result_bytes are kept"
    return
  fi
  settle complete "$1"
  (($? != 2)) || fail "$1" "$2" result_refused false <<<"The server refused the result: $refusal"
}

# result: the output as JSON. jq accepts NaN, which is not JSON.
result() {
  if [[ ! -s $files/output ]]; then
    echo null
  elif jq -se 'length == 1 and all(.. | numbers; isnan | not)' "$files/output" >/dev/null 2>&1; then
    cat "$files/output"
  else
    jq -Rs . "$files/output"
  fi
}

# payload: prints the payload of the task in a claim's answer, without white space between its tokens. It does not use jq, because jq before
# 1.7 rounds numbers beyond 2^53: grep splits the JSON into tokens, and awk counts brackets to find "payload" in {"tasks":[{ … }]}.
payload() {
  LC_ALL=C grep -aoE '"([^"\\]|\\.)*"|[][{},:]|[^][{},:"[:space:]]+' | LC_ALL=C awk '
    BEGIN { ORS = "" }
    /^[]}]$/ { depth-- }
    found && (depth < 3 || (depth == 3 && $0 == ",")) { exit }
    found { print }
    depth == 3 && $0 == ":" && before == "\"payload\"" { found = 1 }
    /^[[{]$/ { depth++ }
    { before = $0 }'
}

# run TASK: the command gets the payload on stdin and may write "40 some words" into the file $TASKTRACK_PROGRESS.
run() {
  local id token group beats status verdict
  id=$(jq -r .id <<<"$1")
  token=$(jq -r .lease.token <<<"$1")
  : >"$files/verdict"
  if [[ $stopping ]]; then
    give_back "$id" "$token"
    return
  fi
  payload <"$files/claim" >"$files/payload"
  : >"$files/progress"

  TASKTRACK_TASK_ID=$id TASKTRACK_WORKER=$worker TASKTRACK_PROGRESS=$files/progress \
    "${work[@]}" <"$files/payload" >"$files/output" 2>"$files/errors" &
  group=$!
  beat "$id" "$token" "$group" &
  beats=$!
  await "$group"
  status=$?
  cat "$files/errors" >&2

  verdict=$(<"$files/verdict")
  if [[ $verdict == lost ]]; then
    echo "task $id: lost" >&2
  elif [[ $stopping || $verdict == cancel ]]; then # after a cancel this ends the task as cancelled
    give_back "$id" "$token"
  elif ((status == 0)); then
    complete "$id" "$token"
  else
    [[ -s $files/errors ]] || echo "exit code $status" >"$files/errors"
    fail "$id" "$token" "exit_$status" true < <(tail -n 1 "$files/errors")
  fi
  kill -KILL -- "-$beats" 2>/dev/null
  wait "$beats" 2>/dev/null
  [[ -e $files/drain ]] && draining=1
}

until [[ $stopping || $draining ]]; do
  if claim; then
    task=$(jq -c '.tasks[0] // empty | {id, lease}' "$files/claim")
    [[ $(jq -r .directive "$files/claim") == run ]] || draining=1
    [[ $task ]] && run "$task"
  elif [[ ! $stopping ]]; then
    echo "no tasks: $(<"$files/claim")" >&2
    sleep 1
  fi
done
exit 0
