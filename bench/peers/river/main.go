// River as a side of the benchmarks: `serve` (HTTP before Insert), `fill N`, `drain N`, `singles` (HTTP before Insert, and
// workers). STORE_URL names the database. Why these settings: bench/README.md.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"bench/side"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	fillAtOnce  = 5_000
	connections = 20

	drainWorkers       = 2_000
	drainFetchCooldown = 2 * time.Millisecond
	drainPollInterval  = 20 * time.Millisecond

	// As many as TaskTrack has by default; everything else is the default too.
	singlesWorkers = 10
)

type work struct{ side.Job }

func (work) Kind() string { return "work" }

type worker struct {
	river.WorkerDefaults[work]
	handled func(job side.Job)
}

func (w *worker) Work(_ context.Context, job *river.Job[work]) error {
	w.handled(job.Args.Job)
	return nil
}

type client = river.Client[pgx.Tx]

func open(ctx context.Context) *pgxpool.Pool {
	config, err := pgxpool.ParseConfig(os.Getenv("STORE_URL"))
	side.Must(err)
	config.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	side.Must(err)
	return pool
}

func migrate(ctx context.Context, pool *pgxpool.Pool) {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	side.Must(err)
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	side.Must(err)
}

// connect returns a client that only inserts if config has no queues.
func connect(pool *pgxpool.Pool, config river.Config) *client {
	config.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	connected, err := river.NewClient(riverpgxv5.New(pool), &config)
	side.Must(err)
	return connected
}

// start runs workers that call handled for each job.
func start(ctx context.Context, pool *pgxpool.Pool, config river.Config, handled func(job side.Job)) *client {
	config.Workers = river.NewWorkers()
	river.AddWorker(config.Workers, &worker{handled: handled})
	started := connect(pool, config)
	side.Must(started.Start(ctx))
	return started
}

func queue(workers int) map[string]river.QueueConfig {
	return map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}}
}

func inserting(ctx context.Context, into *client) func(job side.Job) (any, error) {
	return func(job side.Job) (any, error) {
		inserted, err := into.Insert(ctx, work{job}, nil)
		if err != nil {
			return nil, err
		}
		return inserted.Job.ID, nil
	}
}

func fill(ctx context.Context, pool *pgxpool.Pool, count int) {
	migrate(ctx, pool)
	into := connect(pool, river.Config{})
	jobs := side.Jobs(count)
	for len(jobs) > 0 {
		some := jobs[:min(fillAtOnce, len(jobs))]
		jobs = jobs[len(some):]
		params := make([]river.InsertManyParams, len(some))
		for at, job := range some {
			params[at].Args = work{job}
		}
		_, err := into.InsertManyFast(ctx, params)
		side.Must(err)
	}
}

func drain(ctx context.Context, pool *pgxpool.Pool, count int) {
	config := river.Config{
		FetchCooldown:     drainFetchCooldown,
		FetchPollInterval: drainPollInterval,
		Queues:            queue(drainWorkers),
	}
	side.Drain(
		count,
		func(handled func()) { start(ctx, pool, config, func(side.Job) { handled() }) },
		func() (isEmpty bool) {
			const ended = "SELECT NOT EXISTS (SELECT 1 FROM river_job WHERE state <> 'completed')"
			side.Must(pool.QueryRow(ctx, ended).Scan(&isEmpty))
			return isEmpty
		},
	)
}

func main() {
	ctx := context.Background()
	pool := open(ctx)
	switch os.Args[1] {
	case "serve":
		migrate(ctx, pool)
		side.ServeCreates(inserting(ctx, connect(pool, river.Config{})))
	case "singles":
		migrate(ctx, pool)
		var into *client
		side.ServeSingles(
			func(job side.Job) (any, error) { return inserting(ctx, into)(job) },
			func(handled func(job side.Job)) {
				into = start(ctx, pool, river.Config{Queues: queue(singlesWorkers)}, handled)
			},
		)
	case "fill":
		fill(ctx, pool, side.Count(os.Args[2]))
	default:
		drain(ctx, pool, side.Count(os.Args[2]))
	}
}
