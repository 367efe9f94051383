#!/usr/bin/env bash
# rabbitmq-client: if the broker closes a channel because of one publication, the promise of another publication gets the reason.
#
# Expected: on a channel with publisher confirms, the message that the broker refuses (here one above max_message_size) rejects its own
#   publish() with the broker's reason. The other publications on the channel fail with "channel closed, outcome unknown".
# Happens: the first publication that is not confirmed yet gets the reason (PRECONDITION_FAILED, with the size), even if another
#   message was refused. The publication of the refused message fails only with the message that the channel was closed.
# Versions: rabbitmq-client 5.0.8 on Node.js 20; RabbitMQ 3.10 from Debian 12 (/usr/lib/rabbitmq/bin/rabbitmq-server).
# Matters: code that drops or shortens "the message that was too large" because of this error drops a valid message, and sends the
#   message that is too large again without end. Decide by the length of each message, or publish large messages alone.
set -euo pipefail
dir=$(mktemp -d)
broker=""
port=$((20000 + RANDOM % 8000))
stop() {
  [ -n "$broker" ] && kill "$broker" 2>/dev/null && wait "$broker" 2>/dev/null
  ERL_EPMD_PORT=$((port + 2)) epmd -kill >/dev/null 2>&1
  rm -rf "$dir"
}
trap 'stop || true' EXIT
cd "$dir"

npm init -y >/dev/null
npm install --silent --no-audit --no-fund rabbitmq-client@5.0.8

printf 'listeners.tcp.1 = 127.0.0.1:%s\nmax_message_size = 1500\n' "$port" >rabbitmq.conf
echo '[].' >plugins
env HOME="$dir" RABBITMQ_NODENAME="finding$port@localhost" RABBITMQ_MNESIA_BASE="$dir/data" RABBITMQ_LOG_BASE="$dir/log" \
  RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins" RABBITMQ_CONF_ENV_FILE=/dev/null \
  RABBITMQ_DIST_PORT=$((port + 1)) ERL_EPMD_PORT=$((port + 2)) ERL_EPMD_ADDRESS=127.0.0.1 RUNNING_UNDER_SYSTEMD=1 \
  /usr/lib/rabbitmq/bin/rabbitmq-server >broker.log 2>&1 &
broker=$!
until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do kill -0 "$broker" && sleep 0.5; done

cat >publish.mjs <<'JS'
import { Connection } from "rabbitmq-client";
const connection = new Connection({ url: process.argv[2] });
connection.on("error", () => {});
const channel = await connection.acquire();
channel.on("error", () => {});
await channel.confirmSelect();
// A quorum queue confirms a message once it is on the disk: after the next one was refused.
const queue = await channel.queueDeclare({ queue: "kept", durable: true, arguments: { "x-queue-type": "quorum" } });
const send = (name, bytes) =>
  channel.basicPublish({ routingKey: queue.queue, durable: true }, Buffer.alloc(bytes, 97)).then(
    () => `${name}: confirmed`,
    (error) => `${name}: ${error.code}`,
  );
// In one turn, so that many of the small ones are not confirmed yet when the large one is refused.
const small = Array.from({ length: 500 }, (_, n) => send(`small ${n}`, 1));
const large = send("too large", 1_600);
const blamed = (await Promise.all(small)).filter((line) => line.endsWith("PRECONDITION_FAILED"));
console.log(`small ones that are told PRECONDITION_FAILED: ${blamed.length}`);
console.log(await large);
process.exit();
JS
timeout 60 node publish.mjs "amqp://guest:guest@127.0.0.1:$port" >seen

echo "node $(node --version)"
npm ls --depth 0 | tail -n +2
grep -o 'RabbitMQ [0-9.]*' broker.log log/* 2>/dev/null | head -1 | sed 's/.*://'
cat seen
cat >expected <<'TXT'
small ones that are told PRECONDITION_FAILED: 1
too large: CH_CLOSE
TXT
diff expected seen && echo "as described"
