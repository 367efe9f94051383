// Calls a server through the client that oapi-codegen generates; prints each successful step.
package main

import (
	"context"
	"fmt"
	"os"

	tasktrack "example.test/oapi-codegen/generated"
)

func main() {
	server, kind := os.Args[1], os.Args[2]
	ctx := context.Background()
	client, err := tasktrack.NewClientWithResponses(server)
	must(err)

	var one tasktrack.CreateBody
	must(one.FromTaskInput(tasktrack.TaskInput{Name: "first", Type: &kind, Payload: map[string]any{"n": 1}}))
	created, err := client.CreateTaskWithResponse(ctx, nil, one)
	must(err)
	first := *created.JSON201.TaskId
	step("create", first > 0)

	var many tasktrack.CreateBody
	must(many.FromTaskBatch(tasktrack.TaskBatch{{Name: "second", Type: &kind}, {Name: "third", Type: &kind}}))
	batch, err := client.CreateTaskWithResponse(ctx, nil, many)
	must(err)
	ids := *batch.JSON201.TaskIds
	step("batch", len(ids) == 2)
	second, third := ids[0], ids[1]

	view, types := tasktrack.TaskViewFull, []string{kind}
	list, err := client.ListTasksWithResponse(ctx, &tasktrack.ListTasksParams{View: &view, Type: &types})
	must(err)
	tasks := *list.JSON200
	step("list", len(tasks) == 3 && *tasks[0].Version == 1 && tasks[0].Payload.(map[string]any)["n"] == 1.0)

	got, err := client.GetTaskWithResponse(ctx, first, nil)
	must(err)
	step("get", got.JSON200.Name == "first" && got.JSON200.Key == nil)

	wait := "1ms"
	waited, err := client.GetTaskWithResponse(ctx, first, &tasktrack.GetTaskParams{Wait: &wait})
	must(err)
	step("wait", waited.JSON200.Status == tasktrack.TaskStatusPending)

	most := 3
	claimed, err := client.ClaimTasksWithResponse(ctx, tasktrack.ClaimRequest{Worker: kind, Types: types, Max: &most})
	must(err)
	tokens := map[int64]string{}
	for _, task := range claimed.JSON200.Tasks {
		tokens[task.Id] = task.Lease.Token
	}
	step("claim", len(tokens) == 3)

	var line tasktrack.LogEntry
	must(line.FromLogEntry0("half way"))
	report := tasktrack.LeaseReport{Id: first, Token: tokens[first],
		Progress: &tasktrack.ProgressReport{Percent: 50.5}, Log: &[]tasktrack.LogEntry{line}}
	beat, err := client.RenewLeasesWithResponse(ctx,
		tasktrack.HeartbeatRequest{Worker: kind, Leases: []tasktrack.LeaseReport{report}})
	must(err)
	step("heartbeat", beat.JSON200.Leases[0].Status == tasktrack.LeaseStatusOk)

	completed, err := client.CompleteTaskWithResponse(ctx, first,
		tasktrack.CompleteRequest{Token: tokens[first], Result: map[string]any{"n": 1}})
	must(err)
	done, err := client.GetTaskWithResponse(ctx, first, nil)
	must(err)
	step("complete", completed.JSON200.TaskId == first && done.JSON200.Status == tasktrack.TaskStatusDone)

	retryable := false
	_, err = client.FailTaskWithResponse(ctx, second,
		tasktrack.FailRequest{Token: tokens[second], Retryable: &retryable})
	must(err)
	failed, err := client.GetTaskWithResponse(ctx, second, nil)
	must(err)
	step("fail", failed.JSON200.Status == tasktrack.TaskStatusFailed && failed.JSON200.Error != nil)

	name := "renamed"
	edited, err := client.EditTaskWithResponse(ctx, third, nil, tasktrack.TaskEdit{Name: &name})
	must(err)
	step("patch", edited.JSON200.TaskId == third)

	deleted, err := client.DeleteTaskWithResponse(ctx, third, nil)
	must(err)
	step("delete", deleted.StatusCode() == 204)

	gone, err := client.GetTaskWithResponse(ctx, third, nil)
	must(err)
	step("404", gone.ApplicationproblemJSON404.Code == tasktrack.ProblemCodeNotFound)

	refused, err := client.CancelTaskWithResponse(ctx, first, nil)
	must(err)
	step("409", refused.ApplicationproblemJSON409.Code == tasktrack.ProblemCodeWrongStatus)
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
