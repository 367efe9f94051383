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

stopping='' # ask for no more, give back what runs
draining='' # ask for no more, finish what runs
refusal=''  # the answer to what was said last
job=''      # what is waited for: the claim, or the work

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
trap 'stopping=1; end_group "$job"' TERM INT

# end_group GROUP: SIGTERM, and SIGKILL two seconds later to the remaining processes.
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

# await GROUP: waits until a job has ended; the status is the job's. A signal to the worker ends the job, but not the wait.
await() {
  local status
  job=$1
  [[ $stopping ]] && end_group "$job" # the signal came before there was a job to end
  wait "$job"
  status=$?
  while kill -0 "$job" 2>/dev/null; do
    wait "$job"
    status=$?
  done
  kill -KILL -- "-$job" 2>/dev/null # what it has left behind
  job=''
  return $status
}

# post PATH SECONDS: sends the JSON on stdin and prints the answer. 0: success; 1: the request may be repeated; 2: refused for good;
# 3: the lease is lost.
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

# claim: waits for a task, which comes into the file claim. The wait is short, so that a lease is never half over when it comes. Where
# no answer comes, as after a signal, it says that the worker leaves: the server ends the claim, which a proxy may have kept, and takes
# back its task.
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

# beat ID TOKEN GROUP: renews the lease after each third of it, and ends the command when the task was cancelled or lost (which it writes
# into the file verdict), or when the worker has ended.
beat() {
  local heard=$claimed_at self=$BASHPID body answer status
  while sleep "$third"; do
    if (($(ps -o ppid= -p "$self") != $$)); then # killed: nobody is left to say how it goes
      end_group "$3"
      rm -rf "$files"
      return
    fi
    status=ok
    if is_held; then # else it may be another's by now, as after a sleep of the whole machine
      body=$(beat_body "$1" "$2")
      answer=$(post /api/worker/heartbeat "$third" <<<"$body") && heard=$(now_ms) &&
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

# is_held: in a heartbeat, whether less than five sixths of the lease are over.
is_held() { (($(now_ms) - heard < lease * 5000 / 6)); }

# beat_body ID TOKEN: what the command wrote as its progress is cut and put between 0 and 100, so that it never costs the lease.
beat_body() {
  local percent message
  read -r percent message < <(head -c 4096 "$files/progress")
  jq -nc --arg worker "$worker" --argjson id "$1" --arg token "$2" --arg percent "${percent:0:20}" --arg message "${message:0:4000}" \
    '($percent | tonumber? // null | if . == null or isnan then null else [0, ([100, .] | min)] | max end) as $percent
     | {$worker, leases: [{$id, $token} + if $percent then {progress: {$percent, $message}} else {} end]}'
}

# say VERB ID: ends the attempt with the file body, and repeats the request until the server answers or the lease is lost: a repetition
# has no further effect. After SIGTERM it tries for a third of a lease. The status is that of post.
say() {
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
  ((status == 0)) || echo "task $2: $1 was not heard: ${answer:0:1000}" >&2
  refusal=${answer:0:1000}
  return $status
}

give_back() {
  jq -nc --arg token "$2" '{$token}' >"$files/body"
  say release "$1"
}

# fail ID TOKEN CODE RETRYABLE: reads the message from stdin.
fail() {
  head -c 4000 | jq -Rsc --arg token "$2" --arg code "$3" --argjson retryable "$4" \
    '{$token, error: {$code, message: rtrimstr("\n")}, $retryable}' >"$files/body"
  say fail "$1"
}

# complete ID TOKEN: the output is the result: JSON as it is, anything else as a text. One that cannot be sent, or that the server
# refuses, fails the task: another attempt would not change that.
complete() {
  local size
  size=$(wc -c <"$files/output")
  if ((size <= result_bytes)); then
    { printf '{"token":%s,"result":' "$(jq -n --arg token "$2" '$token')"; result; echo '}'; } >"$files/body"
    size=$(($(wc -c <"$files/body") - ${#2} - 24)) # without what is around the result
  fi
  if ((size > result_bytes)); then
    fail "$1" "$2" result_too_large false <<<"The result has $size bytes; at most $result_bytes are kept"
    return
  fi
  say complete "$1"
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

# payload: of the one task in a claim's answer, without white space between its tokens. grep takes the JSON apart and awk counts the
# brackets, because jq before 1.7 rounds numbers beyond 2^53: the payload is the member "payload" in {"tasks":[{ … }]}.
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
