"""Calls a server through the client that openapi-python-client generates; prints each successful step."""

import sys

from generated import Client, models
from generated.api.tasks import cancel_task, create_task, delete_task, edit_task, get_task, list_tasks
from generated.api.workers import claim_tasks, complete_task, fail_task, renew_leases

server, kind = sys.argv[1:3]
client = Client(base_url=server)


def step(name: str, is_right: bool) -> None:
    if not is_right:
        sys.exit(f"wrong: {name}")
    print("ok", name)


created = create_task.sync(client=client, body=models.TaskInput(name="first", type_=kind, payload={"n": 1}))
first = created.task_id
step("create", first > 0)

batch = [models.BatchItem(name="second", type_=kind), models.BatchItem(name="third", type_=kind)]
second, third = create_task.sync(client=client, body=batch).task_ids
step("batch", first < second < third)

tasks = list_tasks.sync(client=client, type_=[kind], view=models.TaskView.FULL)
step("list", len(tasks) == 3 and tasks[0].version == 1 and tasks[0].payload == {"n": 1})

step("get", get_task.sync(first, client=client).name == "first")
step("wait", get_task.sync(first, client=client, wait="1ms").status == models.TaskStatus.PENDING)

claimed = claim_tasks.sync(client=client, body=models.ClaimRequest(worker="w", types=[kind], max_=3))
tokens = {task.id: task.lease.token for task in claimed.tasks}
step("claim", len(tokens) == 3)

report = models.LeaseReport(
    id=first,
    token=tokens[first],
    progress=models.ProgressReport(percent=50.5, message="half way"),
    log=["half way", models.LeveledLine(level=models.LogLevel.WARN, message="slow")],
)
beat = renew_leases.sync(client=client, body=models.HeartbeatRequest(worker="w", leases=[report]))
step("heartbeat", beat.leases[0].status == models.LeaseStatus.OK)

complete_task.sync(first, client=client, body=models.CompleteRequest(token=tokens[first], result={"n": 1}))
done = get_task.sync(first, client=client)
step("complete", done.status == models.TaskStatus.DONE and done.result == {"n": 1})

fail_task.sync(second, client=client, body=models.FailRequest(token=tokens[second], retryable=False))
step("fail", get_task.sync(second, client=client).status == models.TaskStatus.FAILED)

edited = edit_task.sync(third, client=client, body=models.TaskEdit(name="renamed"))
step("patch", edited.task_id == third)

step("delete", delete_task.sync_detailed(third, client=client).status_code == 204)
step("404", get_task.sync(third, client=client).code == models.ProblemCode.NOT_FOUND)
step("409", cancel_task.sync(first, client=client).code == models.ProblemCode.WRONG_STATUS)
