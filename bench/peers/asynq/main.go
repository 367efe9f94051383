// Asynq as a side of the benchmarks: `serve` (HTTP before Enqueue), `fill N`, `drain N`, `singles` (HTTP before Enqueue, and
// workers). STORE_URL names the Redis. Why these settings: bench/README.md.
package main

import (
	"context"
	"encoding/json"
	"os"
	"sync"

	"bench/side"

	"github.com/hibiken/asynq"
)

const (
	taskType    = "work"
	queue       = "default"
	connections = 100
	fillers     = 100

	drainConcurrency = 100
	// As many as TaskTrack has by default; everything else is the default too.
	singlesConcurrency = 10
)

func redis() asynq.RedisClientOpt {
	parsed, err := asynq.ParseRedisURI(os.Getenv("STORE_URL"))
	side.Must(err)
	options := parsed.(asynq.RedisClientOpt)
	options.PoolSize = connections
	return options
}

func enqueuing(client *asynq.Client) func(job side.Job) (any, error) {
	return func(job side.Job) (any, error) {
		payload, err := json.Marshal(job)
		side.Must(err)
		enqueued, err := client.Enqueue(asynq.NewTask(taskType, payload))
		if err != nil {
			return nil, err
		}
		return enqueued.ID, nil
	}
}

// start runs workers that call handled for each task.
func start(concurrency int, handled func(payload []byte)) {
	server := asynq.NewServer(redis(), asynq.Config{Concurrency: concurrency, LogLevel: asynq.ErrorLevel})
	side.Must(server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		handled(task.Payload())
		return nil
	})))
}

// fill calls Enqueue for each job, from many goroutines: there is no call for many.
func fill(count int) {
	enqueue := enqueuing(asynq.NewClient(redis()))
	left := make(chan side.Job)
	var running sync.WaitGroup
	for range fillers {
		running.Go(func() {
			for job := range left {
				_, err := enqueue(job)
				side.Must(err)
			}
		})
	}
	for _, job := range side.Jobs(count) {
		left <- job
	}
	close(left)
	running.Wait()
}

func drain(count int) {
	inspector := asynq.NewInspector(redis())
	side.Drain(
		count,
		func(handled func()) { start(drainConcurrency, func([]byte) { handled() }) },
		func() bool {
			info, err := inspector.GetQueueInfo(queue)
			side.Must(err)
			return info.Size == 0
		},
	)
}

func singles() {
	side.ServeSingles(enqueuing(asynq.NewClient(redis())), func(handled func(job side.Job)) {
		start(singlesConcurrency, func(payload []byte) {
			var job side.Job
			side.Must(json.Unmarshal(payload, &job))
			handled(job)
		})
	})
}

func main() {
	switch os.Args[1] {
	case "serve":
		side.ServeCreates(enqueuing(asynq.NewClient(redis())))
	case "singles":
		singles()
	case "fill":
		fill(side.Count(os.Args[2]))
	default:
		drain(side.Count(os.Args[2]))
	}
}
