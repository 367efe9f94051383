// Calls a server through the client that ogen generates; prints each successful step.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/go-faster/jx"

	tasktrack "example.test/ogen/generated"
)

func main() {
	server, kind := os.Args[1], os.Args[2]
	ctx := context.Background()
	client, err := tasktrack.NewClient(server)
	must(err)
	ofKind := tasktrack.NewOptString(kind)

	one := tasktrack.NewTaskInputCreateBody(
		tasktrack.TaskInput{Name: "first", Type: ofKind, Payload: jx.Raw(`{"n":1}`)})
	created, err := client.CreateTask(ctx, one, tasktrack.CreateTaskParams{})
	must(err)
	answer, isCreated := created.(*tasktrack.CreateTaskCreatedHeaders)
	step("create", isCreated && answer.Response.TaskID.Set)
	first := answer.Response.TaskID.Value

	many := tasktrack.NewTaskBatchCreateBody(
		tasktrack.TaskBatch{{Name: "second", Type: ofKind}, {Name: "third", Type: ofKind}})
	batch, err := client.CreateTask(ctx, many, tasktrack.CreateTaskParams{})
	must(err)
	ids := batch.(*tasktrack.CreateTaskCreatedHeaders).Response.TaskIds
	step("batch", len(ids) == 2)
	second, third := ids[0], ids[1]

	list, err := client.ListTasks(ctx, tasktrack.ListTasksParams{
		View: tasktrack.NewOptTaskView(tasktrack.TaskViewFull), Type: []string{kind}})
	must(err)
	tasks := list.(*tasktrack.ListTasksOKHeaders).Response
	step("list", len(tasks) == 3 && tasks[0].Version.Value == 1 && string(tasks[0].Payload) == `{"n":1}`)

	step("get", get(ctx, client, first, "").Name == "first")
	step("wait", get(ctx, client, first, "1ms").Status == tasktrack.TaskStatusPending)

	claimed, err := client.ClaimTasks(ctx,
		&tasktrack.ClaimRequest{Worker: kind, Types: []string{kind}, Max: tasktrack.NewOptInt(3)})
	must(err)
	tokens := map[int64]string{}
	for _, task := range claimed.(*tasktrack.ClaimAnswerHeaders).Response.Tasks {
		tokens[task.ID] = task.Lease.Token
	}
	step("claim", len(tokens) == 3)

	beat, err := client.RenewLeases(ctx, &tasktrack.HeartbeatRequest{
		Worker: kind,
		Leases: []tasktrack.LeaseReport{{
			ID: first, Token: tokens[first],
			Progress: tasktrack.NewOptProgressReport(tasktrack.ProgressReport{Percent: 50.5}),
			Log:      []tasktrack.LogEntry{tasktrack.NewStringLogEntry("half way")},
		}},
	})
	must(err)
	renewed := beat.(*tasktrack.HeartbeatAnswerHeaders).Response.Leases
	step("heartbeat", renewed[0].Status == tasktrack.LeaseStatusOk)

	_, err = client.CompleteTask(ctx,
		&tasktrack.CompleteRequest{Token: tokens[first], Result: jx.Raw(`{"n":1}`)},
		tasktrack.CompleteTaskParams{ID: first})
	must(err)
	step("complete", get(ctx, client, first, "").Status == tasktrack.TaskStatusDone)

	_, err = client.FailTask(ctx,
		&tasktrack.FailRequest{Token: tokens[second], Retryable: tasktrack.NewOptBool(false)},
		tasktrack.FailTaskParams{ID: second})
	must(err)
	step("fail", get(ctx, client, second, "").Status == tasktrack.TaskStatusFailed)

	edited, err := client.EditTask(ctx,
		&tasktrack.TaskEdit{Name: tasktrack.NewOptString("renamed")}, tasktrack.EditTaskParams{ID: third})
	must(err)
	step("patch", edited.(*tasktrack.EditAnswerHeaders).Response.TaskID == third)

	deleted, err := client.DeleteTask(ctx, tasktrack.DeleteTaskParams{ID: third})
	must(err)
	_, isDeleted := deleted.(*tasktrack.DeleteTaskNoContent)
	step("delete", isDeleted)

	gone, err := client.GetTask(ctx, tasktrack.GetTaskParams{ID: third})
	must(err)
	missing, isMissing := gone.(*tasktrack.GetTaskNotFound)
	step("404", isMissing && missing.Response.Code == tasktrack.ProblemCodeNotFound)

	refused, err := client.CancelTask(ctx, tasktrack.CancelTaskParams{ID: first})
	must(err)
	conflict, isConflict := refused.(*tasktrack.CancelTaskConflict)
	step("409", isConflict && conflict.Response.Code == tasktrack.ProblemCodeWrongStatus)
}

func get(ctx context.Context, client *tasktrack.Client, id int64, wait string) tasktrack.Task {
	params := tasktrack.GetTaskParams{ID: id}
	if wait != "" {
		params.Wait = tasktrack.NewOptString(wait)
	}
	answer, err := client.GetTask(ctx, params)
	must(err)
	return answer.(*tasktrack.TaskHeaders).Response
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
