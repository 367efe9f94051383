#!/usr/bin/env bash
# A Go client made by openapi-generator sends the JSON text "null" for an optional body that the caller has not given.
#
# Expected: `requestBody` without `required: true` may be left out (OpenAPI 3: "Determines if the request body is required in the
#   request. Defaults to false"). A call that sets no body is sent without one: no Content-Type and no bytes.
# Happens: the generated method passes its typed pointer, which is nil, into an `interface{}`. That is not equal to nil, so the body is
#   encoded: `null` and a line feed, as application/json. A server that validates the body by its own document answers 400, for the schema
#   says object. The Python client of the same generator, for the same document, sends no body (though it names a Content-Type).
# Versions: openapi-generator 7.25.0 (PyPI's openapi-generator-cli, needs a JDK), Go 1.22 or later, Python 3.11.
# Matters: a server with optional bodies must take `null` as no body, or name no body at all where none is needed, or every client made
#   for Go fails at the call without arguments (a cancel, a retry, an acknowledgement).
set -euo pipefail
dir=$(mktemp -d)
server=""
trap '[ -n "$server" ] && kill "$server" 2>/dev/null; chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS=-mod=mod

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check openapi-generator-cli==7.25.0

cat >openapi.json <<'JSON'
{
  "openapi": "3.0.3",
  "info": { "title": "Jobs", "version": "1" },
  "paths": {
    "/job/cancel": {
      "post": {
        "operationId": "cancelJob",
        "requestBody": {
          "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Reason" } } }
        },
        "responses": { "200": { "description": "done" } }
      }
    }
  },
  "components": { "schemas": { "Reason": { "type": "object", "properties": { "reason": { "type": "string" } } } } }
}
JSON
for language in go python; do
  venv/bin/openapi-generator-cli generate -i openapi.json -g "$language" -o "client-$language" \
    --additional-properties=packageName=jobs,withGoMod=false,isGoSubmodule=true >/dev/null 2>&1
done

cat >server.py <<'PY'
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        print(self.headers["user-agent"].split("/")[-1], "sent", len(body), "bytes", repr(body), "as", self.headers.get("content-type"), flush=True)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
open("port", "w").write(str(server.server_port))
server.serve_forever()
PY
python3 server.py >seen &
server=$!
until [ -s port ]; do sleep 0.1; done
url="http://127.0.0.1:$(cat port)"

mkdir program
cp -r client-go program/jobs
rm -rf program/jobs/go.mod program/jobs/go.sum program/jobs/test
cat >program/go.mod <<'GO'
module program
go 1.22
GO
cat >program/main.go <<'GO'
package main

import (
	"context"
	"os"
	"program/jobs"
)

func main() {
	config := jobs.NewConfiguration()
	config.UserAgent = "client/go"
	config.Servers = jobs.ServerConfigurations{{URL: os.Args[1]}}
	if _, err := jobs.NewAPIClient(config).DefaultAPI.CancelJob(context.Background()).Execute(); err != nil {
		panic(err)
	}
}
GO
(cd program && go mod tidy >/dev/null 2>&1 && go run . "$url")

venv/bin/pip install -q --disable-pip-version-check ./client-python
venv/bin/python - "$url" <<'PY'
import sys, jobs
client = jobs.ApiClient(jobs.Configuration(host=sys.argv[1]))
client.user_agent = "client/python"
jobs.DefaultApi(client).cancel_job()
PY

echo "openapi-generator $(venv/bin/openapi-generator-cli version), $(go version), $(python3 --version)"
cat seen
cat >expected <<'TXT'
go sent 5 bytes b'null\n' as application/json
python sent 0 bytes b'' as application/json
TXT
diff expected seen && echo "as described"
