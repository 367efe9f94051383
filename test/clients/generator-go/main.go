// Calls a server through the client that openapi-generator makes for Go; prints each successful step.
package main

import (
	"context"
	"fmt"
	"os"

	tasktrack "example.test/generator-go/generated"
)

func main() {
	server, kind := os.Args[1], os.Args[2]
	ctx := context.Background()
	configuration := tasktrack.NewConfiguration()
	configuration.Servers = tasktrack.ServerConfigurations{{URL: server}}
	client := tasktrack.NewAPIClient(configuration)
	tasks, workers := client.TasksAPI, client.WorkersAPI

	one := tasktrack.NewTaskInput("first")
	one.SetType(kind)
	one.SetPayload(map[string]any{"n": 1})
	created, _, err := tasks.CreateTask(ctx).CreateBody(tasktrack.TaskInputAsCreateBody(one)).Execute()
	must(err)
	first := created.GetTaskId()
	step("create", first > 0)

	batch := []tasktrack.BatchItem{{Name: "second", Type: &kind}, {Name: "third", Type: &kind}}
	many, _, err := tasks.CreateTask(ctx).CreateBody(tasktrack.ArrayOfBatchItemAsCreateBody(&batch)).Execute()
	must(err)
	ids := many.GetTaskIds()
	step("batch", len(ids) == 2)
	second, third := ids[0], ids[1]

	list, _, err := tasks.ListTasks(ctx).Type_([]string{kind}).View(tasktrack.TASKVIEW_FULL).Execute()
	must(err)
	step("list", len(list) == 3 && list[0].GetVersion() == 1 && list[0].Payload.(map[string]any)["n"] == 1.0)

	got, _, err := tasks.GetTask(ctx, first).Execute()
	must(err)
	step("get", got.Name == "first")

	waited, _, err := tasks.GetTask(ctx, first).Wait("1ms").Execute()
	must(err)
	step("wait", waited.Status == tasktrack.TASKSTATUS_PENDING)

	claim := tasktrack.NewClaimRequest("w", []string{kind})
	claim.SetMax(3)
	claimed, _, err := workers.ClaimTasks(ctx).ClaimRequest(*claim).Execute()
	must(err)
	tokens := map[int64]string{}
	for _, task := range claimed.Tasks {
		tokens[task.Id] = task.Lease.Token
	}
	step("claim", len(tokens) == 3)

	line := "half way"
	report := tasktrack.NewLeaseReport(first, tokens[first])
	report.SetProgress(*tasktrack.NewProgressReport(50.5))
	report.SetLog([]tasktrack.LogEntry{{String: &line}})
	beat, _, err := workers.RenewLeases(ctx).
		HeartbeatRequest(*tasktrack.NewHeartbeatRequest("w", []tasktrack.LeaseReport{*report})).Execute()
	must(err)
	step("heartbeat", beat.Leases[0].Status == tasktrack.LEASESTATUS_OK)

	complete := tasktrack.NewCompleteRequest(tokens[first])
	complete.SetResult(map[string]any{"n": 1})
	_, _, err = workers.CompleteTask(ctx, first).CompleteRequest(*complete).Execute()
	must(err)
	done, _, err := tasks.GetTask(ctx, first).Execute()
	must(err)
	step("complete", done.Status == tasktrack.TASKSTATUS_DONE)

	fail := tasktrack.NewFailRequest(tokens[second])
	fail.SetRetryable(false)
	_, _, err = workers.FailTask(ctx, second).FailRequest(*fail).Execute()
	must(err)
	failed, _, err := tasks.GetTask(ctx, second).Execute()
	must(err)
	step("fail", failed.Status == tasktrack.TASKSTATUS_FAILED)

	edit := tasktrack.NewTaskEdit()
	edit.SetName("renamed")
	edited, _, err := tasks.EditTask(ctx, third).TaskEdit(*edit).Execute()
	must(err)
	step("patch", edited.TaskId == third)

	deleted, err := tasks.DeleteTask(ctx, third).Execute()
	must(err)
	step("delete", deleted.StatusCode == 204)

	_, _, err = tasks.GetTask(ctx, third).Execute()
	step("404", codeOf(err) == tasktrack.PROBLEMCODE_NOT_FOUND)

	_, _, err = tasks.CancelTask(ctx, first).Execute()
	step("409", codeOf(err) == tasktrack.PROBLEMCODE_WRONG_STATUS)
}

func codeOf(err error) tasktrack.ProblemCode {
	refusal, isRefusal := err.(*tasktrack.GenericOpenAPIError)
	if !isRefusal {
		return ""
	}
	return refusal.Model().(tasktrack.Problem).Code
}

func step(name string, ok bool) {
	if !ok {
		fmt.Fprintln(os.Stderr, "wrong:", name)
		os.Exit(1)
	}
	fmt.Println("ok", name)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
