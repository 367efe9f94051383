package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"sync"
	"time"
)

// Task has the fields of a task that a worker uses.
type Task struct {
	ID      int64           `json:"id"`
	Name    string          `json:"name"`
	Type    string          `json:"type"`
	Attempt int             `json:"attempt"`
	Payload json.RawMessage `json:"payload"`
	Lease   struct {
		Token     string   `json:"token"`
		ExpiresIn duration `json:"expires_in"`
	} `json:"lease"`
}

// Handler runs a task and returns the task's result. It must return soon after its context ends, which happens when the task is
// cancelled or lost, or when the worker stops.
type Handler func(ctx context.Context, task Task, report func(percent float64, message string)) (any, error)

// Permanent marks an error that would be the same in another attempt.
type Permanent struct{ error }

const (
	resultBytes   = 1 << 20 // a larger result is not kept
	messageLength = 10_000
)

// A failure is the error of a failed attempt, as the server shows it.
type failure struct {
	code, message string
	retryable     bool
}

// Worker claims tasks of its types and runs as many at once as it has slots.
type Worker struct {
	Server string // http://localhost:8080
	Name   string // shown in leases, history and statistics
	Types  []string
	Slots  int
	Lease  time.Duration // how long the worker keeps a task without a heartbeat
	Handle Handler

	mu       sync.Mutex
	runs     map[*run]struct{}
	drain    context.CancelFunc // claims no more tasks
	stop     context.CancelFunc // also ends the running tasks
	stopping context.Context    // ends when the worker stops
}

// A run is a task that occupies a slot.
type run struct {
	task     Task
	cancel   context.CancelFunc
	lost     bool      // the lease is over: the outcome is not reported
	until    time.Time // not later than the end of the lease
	progress *progress // for the next heartbeat
}

type progress struct {
	Percent float64 `json:"percent"`
	Message string  `json:"message"`
}

// Run works until the context ends, or until the server drains the worker; it releases the tasks that it cannot finish.
func (w *Worker) Run(ctx context.Context) {
	w.runs = map[*run]struct{}{}
	ctx, w.stop = context.WithCancel(ctx)
	defer w.stop()
	w.stopping = ctx
	claiming, drain := context.WithCancel(ctx)
	w.drain = drain
	defer drain()
	beating, stopBeating := context.WithCancel(context.Background()) // leases are renewed until the last outcome is reported
	defer stopBeating()
	go w.beat(beating)
	go w.watch(beating)

	slots := make(chan struct{}, w.Slots)
	for claiming.Err() == nil {
		free := takeSlots(claiming, slots)
		tasks, sentAt := w.claim(claiming, free)
		for free -= len(tasks); free > 0; free-- {
			<-slots
		}
		for _, task := range tasks {
			w.begin(ctx, task, sentAt, func() { <-slots })
		}
	}
	for i := 0; i < w.Slots; i++ {
		slots <- struct{}{} // waits until each run has released its slot
	}
}

// takeSlots waits for a free slot and takes all free slots; none if the context ends first.
func takeSlots(ctx context.Context, slots chan struct{}) int {
	select {
	case <-ctx.Done():
		return 0
	case slots <- struct{}{}:
	}
	for taken := 1; ; taken++ {
		select {
		case slots <- struct{}{}:
		default:
			return taken
		}
	}
}

// claim waits for tasks; it returns none if there are none for a while. The wait is short, so that less than half of a lease is over
// when its task arrives. Without an answer it sends a leave: the server ends the claim, which a proxy may have kept open, and releases
// its tasks.
func (w *Worker) claim(ctx context.Context, most int) ([]Task, time.Time) {
	sentAt := time.Now()
	if most == 0 {
		return nil, sentAt
	}
	wait := w.Lease / 3
	request := fmt.Sprintf("%s-%d", w.Name, sentAt.UnixNano())
	body := map[string]any{
		"worker": w.Name, "types": w.Types, "max": most, "lease": w.Lease.String(), "wait": wait.String(), "request": request,
	}
	var answer struct {
		Tasks     []Task `json:"tasks"`
		Directive string `json:"directive"`
	}
	err := w.post(ctx, wait, "/api/worker/claim", body, &answer)
	if err != nil {
		// The claim may have reached the server, or may reach it later. Without the leave, its tasks would wait until their leases end.
		leave := map[string]any{"worker": w.Name, "requests": []string{request}}
		if err := w.post(context.Background(), 0, "/api/worker/leave", leave, nil); err != nil {
			log.Printf("leave: %v", err)
		}
	}
	if err != nil && ctx.Err() == nil {
		log.Printf("no tasks: %v", err)
		pause(ctx, time.Second)
	}
	w.follow(answer.Directive)
	return answer.Tasks, sentAt
}

// follow obeys a directive of the server.
func (w *Worker) follow(directive string) {
	switch directive {
	case "drain":
		w.drain()
	case "stop":
		w.stop()
	}
}

func (w *Worker) begin(ctx context.Context, task Task, sentAt time.Time, freeSlot func()) {
	ctx, cancel := context.WithCancel(ctx)
	r := &run{task: task, cancel: cancel, until: sentAt.Add(time.Duration(task.Lease.ExpiresIn))}
	w.mu.Lock()
	w.runs[r] = struct{}{}
	w.mu.Unlock()
	go func() {
		defer freeSlot()
		defer func() { // deferred, because a handler may end its goroutine
			cancel()
			w.mu.Lock()
			delete(w.runs, r)
			w.mu.Unlock()
		}()
		w.execute(ctx, r)
	}()
}

// execute runs a task and reports its outcome.
func (w *Worker) execute(ctx context.Context, r *run) {
	log.Printf("task %d: attempt %d", r.task.ID, r.task.Attempt)
	result, failed := w.attempt(ctx, r)
	switch {
	case failed == nil: // a result counts also after a stop
		w.complete(r, result)
	case ctx.Err() != nil: // after a cancel this ends the task as cancelled
		w.settle(r, "release", map[string]any{})
	default:
		w.fail(r, *failed)
	}
}

// attempt calls the handler. Every error of the handler, also a panic, fails the task and not the worker. A result that is not JSON, such
// as NaN or a channel, fails the task permanently, because another attempt would have the same result.
func (w *Worker) attempt(ctx context.Context, r *run) (result json.RawMessage, failed *failure) {
	defer func() {
		if thrown := recover(); thrown != nil {
			failed = &failure{"handler_error", fmt.Sprintf("panic: %v", thrown), true}
		}
	}()
	value, err := w.Handle(ctx, r.task, func(percent float64, message string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		r.progress = &progress{clamp(percent), shorten(message)}
	})
	var permanent Permanent
	if err != nil {
		return nil, &failure{"handler_error", err.Error(), !errors.As(err, &permanent)}
	}
	result, err = json.Marshal(value)
	if err != nil {
		return nil, &failure{"result_not_json", "The result cannot be written as JSON: " + err.Error(), false}
	}
	if len(result) > resultBytes {
		message := fmt.Sprintf("The result has %d bytes; at most %d are kept", len(result), resultBytes)
		return nil, &failure{"result_too_large", message, false}
	}
	return result, nil
}

// clamp makes a percentage valid: NaN cannot be written as JSON, and the heartbeat for all leases would fail.
func clamp(percent float64) float64 {
	if math.IsNaN(percent) {
		return 0
	}
	return math.Max(0, math.Min(100, percent))
}

func shorten(text string) string {
	if len(text) > messageLength {
		return text[:messageLength]
	}
	return text
}

// complete reports the result. If the server refuses it, the task fails.
func (w *Worker) complete(r *run, result json.RawMessage) {
	var refused refusal
	err := w.settle(r, "complete", map[string]any{"result": result})
	if errors.As(err, &refused) && refused.status != http.StatusConflict { // 409: the lease is lost
		w.fail(r, failure{"result_refused", "The server refused the result: " + err.Error(), false})
	}
}

func (w *Worker) fail(r *run, failed failure) {
	w.settle(r, "fail", map[string]any{
		"error":     map[string]string{"code": failed.code, "message": shorten(failed.message)},
		"retryable": failed.retryable,
	})
}

// settle reports an outcome. It repeats the request until the server answers or the lease is lost; a repetition has no further effect.
// When the worker stops, it tries for a third of a lease.
func (w *Worker) settle(r *run, verb string, body map[string]any) error {
	body["token"] = r.task.Lease.Token
	var stopAt time.Time
	for wait := 250 * time.Millisecond; ; wait = shorter(2*wait, 5*time.Second) {
		if w.isLost(r) {
			return errLost
		}
		err := w.post(context.Background(), 0, fmt.Sprintf("/api/task/%d/%s", r.task.ID, verb), body, nil)
		if err == nil {
			return nil
		}
		log.Printf("task %d: %s: %v", r.task.ID, verb, err)
		var refused refusal
		if errors.As(err, &refused) {
			return err
		}
		if w.stopping.Err() != nil {
			if stopAt.IsZero() {
				stopAt = time.Now().Add(w.Lease / 3)
			}
			if time.Now().After(stopAt) {
				return err
			}
		}
		time.Sleep(wait)
	}
}

func shorter(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

var errLost = errors.New("the lease is lost")

func (w *Worker) isLost(r *run) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return r.lost
}

// beat renews all leases after each third of a lease.
func (w *Worker) beat(ctx context.Context) {
	for ctx.Err() == nil {
		w.beatOnce(ctx)
		pause(ctx, w.Lease/3)
	}
}

// watch ends runs before the end of their lease if it was not renewed. It does not depend on answers of the server.
func (w *Worker) watch(ctx context.Context) {
	for ctx.Err() == nil {
		w.giveUp()
		pause(ctx, w.Lease/12)
	}
}

// giveUp ends the runs whose lease is almost over: another worker may get the task soon.
func (w *Worker) giveUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range w.runs {
		if time.Now().After(r.until.Add(-w.Lease / 6)) {
			r.lose()
		}
	}
}

func (r *run) lose() {
	r.lost = true
	r.cancel()
}

func (w *Worker) beatOnce(ctx context.Context) {
	runs, leases := w.due()
	if len(runs) == 0 {
		return
	}
	sentAt := time.Now()
	var answer struct {
		Directive string `json:"directive"`
		Leases    []struct {
			Status    string   `json:"status"`
			ExpiresIn duration `json:"expires_in"`
		} `json:"leases"` // in the order of the request
	}
	err := w.post(ctx, 0, "/api/worker/heartbeat", map[string]any{"worker": w.Name, "leases": leases}, &answer)
	if err != nil || len(answer.Leases) != len(runs) {
		return // the next heartbeat may succeed
	}
	w.follow(answer.Directive)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, lease := range answer.Leases {
		switch lease.Status {
		case "lost":
			runs[i].lose()
		case "cancel":
			runs[i].cancel()
			fallthrough // the lease was renewed: it holds while the work ends
		default:
			runs[i].until = sentAt.Add(time.Duration(lease.ExpiresIn))
		}
	}
}

// due returns the runs with a lease, and a heartbeat for each of them. It takes the progress of the runs.
func (w *Worker) due() (runs []*run, leases []map[string]any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range w.runs {
		if r.lost {
			continue
		}
		lease := map[string]any{"id": r.task.ID, "token": r.task.Lease.Token}
		if r.progress != nil {
			lease["progress"], r.progress = r.progress, nil
		}
		runs, leases = append(runs, r), append(leases, lease)
	}
	return runs, leases
}

// A refusal is an error that would be the same for a repeated request.
type refusal struct {
	status int
	body   string
}

func (r refusal) Error() string { return fmt.Sprintf("refused with %d: %s", r.status, r.body) }

// post sends JSON and reads the JSON of the answer. A refusal is final; after any other error the request may be repeated.
func (w *Worker) post(ctx context.Context, wait time.Duration, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, wait+w.Lease/3)
	defer cancel()
	data, err := json.Marshal(body)
	if err != nil {
		return refusal{0, err.Error()}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.Server+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500:
		return fmt.Errorf("%s: %s", response.Status, answer)
	case response.StatusCode >= 400:
		return refusal{response.StatusCode, string(answer)}
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer, into)
}

// pause waits until the time is over or the context ends.
func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// A duration has Go's format in JSON.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}
