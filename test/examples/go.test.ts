/** The example in Go. */

import { afterAll } from "bun:test";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBinary, findOrInstall } from "../support/servers/runner.ts";
import { examineWorker } from "./worker.suite.ts";

const folder = mkdtempSync(join(tmpdir(), "tasktrack-go-"));
afterAll(() => rmSync(folder, { recursive: true }));
const BINARY = join(folder, "worker");
const RESULTS_BINARY = join(folder, "results");
const EXAMPLE = join(import.meta.dir, "../../examples/go");
const SLOTS = 3;

/** The program with a test handler instead of the counting handler. */
const RESULTS_MAIN = `package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type broken struct{ words *string }

func (b *broken) Error() string { return *b.words }

func work(ctx context.Context, task Task, report func(float64, string)) (any, error) {
	var payload struct{ Kind string }
	if err := json.Unmarshal(task.Payload, &payload); err != nil {
		return nil, err
	}
	switch payload.Kind {
	case "echo":
		return task.Payload, nil
	case "large":
		return strings.Repeat("x", 5000000), nil
	case "nan":
		return math.NaN(), nil
	case "channel":
		return make(chan int), nil
	case "circle":
		circle := map[string]any{}
		circle["self"] = circle
		return circle, nil
	case "deep":
		return json.RawMessage(strings.Repeat("[", 100) + strings.Repeat("]", 100)), nil
	case "not_utf8":
		return "\\xff", nil
	case "large_error":
		return nil, errors.New(strings.Repeat("x", 5000000))
	case "broken_error":
		return nil, &broken{}
	case "panic":
		panic("as it is meant to")
	case "nan_progress":
		report(math.NaN(), "")
		pause(ctx, 2*time.Second)
	}
	return "fine", nil
}

func main() {
	host, _ := os.Hostname()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	worker := &Worker{
		Server: os.Args[1], Types: []string{os.Args[2]}, Name: fmt.Sprintf("%s-%d", host, os.Getpid()),
		Slots: 1, Lease: 3 * time.Second, Handle: work,
	}
	worker.Run(ctx)
}
`;

function build(): void {
  const go = findOrInstall({
    name: "the worker in Go",
    debianPackage: "golang-go",
    find: () => findBinary("go", ["/usr/local/go/bin"]),
  });
  if (go === null) throw new Error("the test of the worker in Go needs go: install Debian's golang-go");
  const cache = join(tmpdir(), "tasktrack-go-cache"); // kept between runs: without it a build takes a minute
  const env = { GOCACHE: cache, ...process.env, CGO_ENABLED: "0", GOTOOLCHAIN: "local" };
  const compile = (cwd: string, binary: string): void => {
    const built = spawnSync(go, ["build", "-o", binary, "."], { cwd, env, encoding: "utf8" });
    if (built.status !== 0) throw new Error(`go build failed:\n${built.stdout}${built.stderr}`);
  };
  compile(EXAMPLE, BINARY);
  const results = join(folder, "source");
  mkdirSync(results);
  for (const file of ["go.mod", "worker.go"]) copyFileSync(join(EXAMPLE, file), join(results, file));
  writeFileSync(join(results, "main.go"), RESULTS_MAIN);
  compile(results, RESULTS_BINARY);
}

examineWorker("the worker in Go", {
  prepare: build,
  command: (server, type) => [BINARY, server, type, String(SLOTS)],
  slots: SLOTS,
  atOnce: 4,
  onStop: "releases",
  results: {
    command: (server, type) => [RESULTS_BINARY, server, type],
    kinds: {
      large: { status: "failed", code: "result_too_large" },
      nan: { status: "failed", code: "result_not_json" },
      channel: { status: "failed", code: "result_not_json" },
      circle: { status: "failed", code: "result_not_json" },
      deep: { status: "failed", code: "result_refused" },
      not_utf8: { status: "done", result: "\ufffd" },
      large_error: { status: "failed", code: "handler_error" },
      broken_error: { status: "failed", code: "handler_error" },
      panic: { status: "failed", code: "handler_error" },
      nan_progress: { status: "done", result: "fine" },
    },
  },
});
