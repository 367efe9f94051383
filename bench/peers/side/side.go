// Package side is what the peers in Go share: their jobs, the result of a drain, and HTTP before a create. It does the
// same as drain.ts and http.ts do for the peers in JavaScript.
package side

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Job is what every job contains: the body of a create.
type Job struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Jobs returns that many jobs, with the same names as in the load generator.
func Jobs(count int) []Job {
	jobs := make([]Job, count)
	for n := range jobs {
		jobs[n] = Job{Name: fmt.Sprintf("task %08d", n), Description: "some description of the work"}
	}
	return jobs
}

// The last batch of outcomes is written within milliseconds after the last handler.
const pollEvery = 5 * time.Millisecond

type drained struct {
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpuSeconds"`
}

// Drain prints the result: one line on standard output. The time runs from just before the start of the workers until the
// end of the last job is stored, not only until the last handler returns. The workers call handled for each job; isEmpty
// says whether the end of every job is stored, and is called only after the last handler has returned.
func Drain(count int, start func(handled func()), isEmpty func() bool) {
	var handledSoFar atomic.Int64
	all := make(chan struct{})
	before := cpuSeconds()
	startedAt := time.Now()
	start(func() {
		if handledSoFar.Add(1) == int64(count) {
			close(all)
		}
	})
	<-all
	for !isEmpty() {
		time.Sleep(pollEvery)
	}
	result := drained{Seconds: time.Since(startedAt).Seconds(), CPUSeconds: cpuSeconds() - before}
	if handled := handledSoFar.Load(); handled != int64(count) {
		log.Fatalf("%d jobs were handled %d times", count, handled)
	}
	Must(json.NewEncoder(os.Stdout).Encode(result))
	os.Exit(0)
}

// The time of all threads, of the program and of the kernel for it.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	Must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func seconds(time syscall.Timeval) float64 {
	return float64(time.Sec) + float64(time.Usec)/1e6
}

type created struct {
	Message string `json:"message"`
	TaskID  any    `json:"task_id"`
}

// ServeCreates answers a POST with 201 and the id that create returns; it checks only that the body is JSON. create returns
// when the job is stored.
func ServeCreates(create func(job Job) (any, error)) {
	serve(create, func() []float64 { return []float64{} })
}

// ServeSingles has creates and workers in one process. GET /waits answers for each job that was handled since the last time
// how many milliseconds passed from the call of create to its handler. At any time the names of the jobs under way differ.
func ServeSingles(create func(job Job) (any, error), start func(handled func(job Job))) {
	var mu sync.Mutex
	sentAt := map[string]time.Time{}
	waits := []float64{}
	start(func(job Job) {
		mu.Lock()
		defer mu.Unlock()
		at, ok := sentAt[job.Name]
		if !ok {
			log.Fatalf("%s was handled twice", job.Name)
		}
		delete(sentAt, job.Name)
		waits = append(waits, time.Since(at).Seconds()*1000)
	})
	remember := func(job Job) (any, error) {
		mu.Lock()
		sentAt[job.Name] = time.Now()
		mu.Unlock()
		return create(job)
	}
	serve(remember, func() []float64 {
		mu.Lock()
		defer mu.Unlock()
		taken := waits
		waits = []float64{}
		return taken
	})
}

func serve(create func(job Job) (any, error), takeWaits func() []float64) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /waits", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, takeWaits()) })
	mux.HandleFunc("POST /api/task", func(w http.ResponseWriter, r *http.Request) {
		var job Job
		if err := json.NewDecoder(r.Body).Decode(&job); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		id, err := create(job)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, http.StatusCreated, created{Message: "Task created successfully", TaskID: id})
	})
	server := &http.Server{
		Addr:              "127.0.0.1:" + os.Getenv("HTTP_PORT"),
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}

func answer(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	Must(err)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		log.Print(err)
	}
}

// Count reads a number from the arguments.
func Count(argument string) int {
	count, err := strconv.Atoi(argument)
	Must(err)
	return count
}

// Must ends the program if there is an error: a benchmark that fails prints no number.
func Must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
