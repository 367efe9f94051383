"""Calls a server through the client that openapi-generator makes for Python; prints each successful step."""

import json
import sys

import openapi_client as api

server, kind = sys.argv[1:3]
client = api.ApiClient(api.Configuration(host=server))
tasks = api.TasksApi(client)
workers = api.WorkersApi(client)


def step(name: str, is_right: bool) -> None:
    if not is_right:
        sys.exit(f"wrong: {name}")
    print("ok", name)


def code_of(call) -> str:
    try:
        call()
        return ""
    except api.ApiException as error:
        return json.loads(error.body)["code"]


one = api.TaskInput(name="first", type=kind, payload={"n": 1})
first = tasks.create_task(api.CreateBody(one)).task_id
step("create", first > 0)

batch = [api.BatchItem(name="second", type=kind), api.BatchItem(name="third", type=kind)]
second, third = tasks.create_task(api.CreateBody(batch)).task_ids
step("batch", first < second < third)

listed = tasks.list_tasks(type=[kind], view="full")
step("list", len(listed) == 3 and listed[0].version == 1 and listed[0].payload == {"n": 1})

step("get", tasks.get_task(first).name == "first")
step("wait", tasks.get_task(first, wait="1ms").status == api.TaskStatus.PENDING)

claimed = workers.claim_tasks(api.ClaimRequest(worker="w", types=[kind], max=3))
tokens = {task.id: task.lease.token for task in claimed.tasks}
step("claim", len(tokens) == 3)

report = api.LeaseReport(
    id=first,
    token=tokens[first],
    progress=api.ProgressReport(percent=50.5, message="half way"),
    log=[api.LogEntry("half way")],
)
beat = workers.renew_leases(api.HeartbeatRequest(worker="w", leases=[report]))
step("heartbeat", beat.leases[0].status == api.LeaseStatus.OK)

workers.complete_task(first, api.CompleteRequest(token=tokens[first], result={"n": 1}))
done = tasks.get_task(first)
step("complete", done.status == api.TaskStatus.DONE and done.result == {"n": 1})

workers.fail_task(second, api.FailRequest(token=tokens[second], retryable=False))
step("fail", tasks.get_task(second).status == api.TaskStatus.FAILED)

step("patch", tasks.edit_task(third, api.TaskEdit(name="renamed")).task_id == third)
step("delete", tasks.delete_task_with_http_info(third).status_code == 204)
step("404", code_of(lambda: tasks.get_task(third)) == "not_found")
step("409", code_of(lambda: tasks.cancel_task(first)) == "wrong_status")
