// A TaskTrack worker in Go, which uses only the standard library. See README.md in this folder.
//
//	go run . http://localhost:8080 count 4
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	host, _ := os.Hostname()
	worker := &Worker{
		Server: argument(1, "http://localhost:8080"),
		Name:   fmt.Sprintf("%s-%d", host, os.Getpid()),
		Types:  []string{argument(2, "count")},
		Slots:  int(number(argument(3, ""), 4)),
		Lease:  time.Duration(number(os.Getenv("LEASE_SECONDS"), 30) * float64(time.Second)),
	}
	worker.Handle = func(ctx context.Context, task Task, report func(float64, string)) (any, error) {
		return count(ctx, task, report, worker.Name)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	worker.Run(ctx)
}

// count is the handler: it counts to payload.seconds.
func count(ctx context.Context, task Task, report func(float64, string), name string) (any, error) {
	var payload struct {
		Seconds float64 `json:"seconds"`
	}
	if err := json.Unmarshal(task.Payload, &payload); err != nil {
		return nil, Permanent{fmt.Errorf("the payload: %w", err)}
	}
	whole := time.Duration(payload.Seconds * float64(time.Second))
	startedAt := time.Now()
	for elapsed := time.Duration(0); elapsed < whole; elapsed = time.Since(startedAt) {
		report(100*float64(elapsed)/float64(whole), "counting")
		pause(ctx, shorter(100*time.Millisecond, whole-elapsed))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return map[string]any{"counted": payload.Seconds, "by": name}, nil
}

func argument(at int, otherwise string) string {
	if len(os.Args) > at {
		return os.Args[at]
	}
	return otherwise
}

// number reads a number of at least 1.
func number(text string, otherwise float64) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || value < 1 {
		return otherwise
	}
	return value
}
