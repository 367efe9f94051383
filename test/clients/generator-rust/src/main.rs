//! Calls a server through the client that openapi-generator makes for Rust; prints each step that came out right.

use openapi::apis::configuration::Configuration;
use openapi::apis::{tasks_api as tasks, workers_api as workers, Error};
use openapi::models::{self, CreateBody, TaskStatus};
use serde_json::json;
use std::collections::HashMap;

fn step(name: &str, is_right: bool) {
    assert!(is_right, "wrong: {name}");
    println!("ok {name}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let (server, kind) = (arguments[1].clone(), arguments[2].clone());
    let api = &Configuration { base_path: server, ..Configuration::default() };

    let mut one = models::TaskInput::new("first".into());
    one.r#type = Some(kind.clone());
    one.payload = Some(Some(json!({"n": 1})));
    let created = tasks::create_task(api, CreateBody::TaskInput(Box::new(one)), None, None).await?;
    let first = created.task_id.ok_or("no id")?;
    step("create", first > 0);

    let named = |name: &str| {
        let mut item = models::BatchItem::new(name.into());
        item.r#type = Some(kind.clone());
        item
    };
    let batch = CreateBody::TaskBatch(vec![named("second"), named("third")]);
    let ids = tasks::create_task(api, batch, None, None).await?.task_ids.ok_or("no ids")?;
    step("batch", ids.len() == 2);
    let (second, third) = (ids[0], ids[1]);

    let (types, view) = (Some(vec![kind.clone()]), Some(models::TaskView::Full));
    let list = tasks::list_tasks(api, None, None, None, types, None, None, None, view, None).await?;
    step("list", list.len() == 3 && list[0].version == Some(1));

    step("get", tasks::get_task(api, first, None, None).await?.name == "first");
    let waited = tasks::get_task(api, first, Some("1ms"), None).await?;
    step("wait", waited.status == TaskStatus::Pending);

    let mut claim = models::ClaimRequest::new("w".into(), vec![kind.clone()]);
    claim.max = Some(3);
    let claimed = workers::claim_tasks(api, claim).await?.tasks;
    let tokens: HashMap<i64, String> = claimed.into_iter().map(|task| (task.id, task.lease.token)).collect();
    step("claim", tokens.len() == 3);

    let mut report = models::LeaseReport::new(first, tokens[&first].clone());
    report.progress = Some(Box::new(models::ProgressReport::new(50.5)));
    report.log = Some(vec![models::LogEntry::new(models::LogLevel::Info, "half way".into())]);
    let beat = workers::renew_leases(api, models::HeartbeatRequest::new("w".into(), vec![report])).await?;
    step("heartbeat", beat.leases[0].status == models::LeaseStatus::Ok);

    let mut complete = models::CompleteRequest::new(tokens[&first].clone());
    complete.result = Some(Some(json!({"n": 1})));
    workers::complete_task(api, first, complete).await?;
    let done = tasks::get_task(api, first, None, None).await?;
    step("complete", done.status == TaskStatus::Done && done.result == Some(json!({"n": 1})));

    let mut fail = models::FailRequest::new(tokens[&second].clone());
    fail.retryable = Some(false);
    workers::fail_task(api, second, fail).await?;
    step("fail", tasks::get_task(api, second, None, None).await?.status == TaskStatus::Failed);

    let mut edit = models::TaskEdit::new();
    edit.name = Some("renamed".into());
    step("patch", tasks::edit_task(api, third, edit, None, None).await?.task_id == third);

    step("delete", tasks::delete_task(api, third, None, None).await.is_ok());

    let gone = tasks::get_task(api, third, None, None).await;
    step("404", refusal(gone) == (404, Some(json!("not_found"))));

    let conflict = tasks::cancel_task(api, first, None, None).await;
    step("409", refusal(conflict) == (409, Some(json!("wrong_status"))));
    Ok(())
}

/// By status and body: the variants of the generated error differ in name alone, so that the first one is always met.
fn refusal<T, E>(answer: Result<T, Error<E>>) -> (u16, Option<serde_json::Value>) {
    let Err(Error::ResponseError(answer)) = answer else { return (0, None) };
    let problem: serde_json::Value = serde_json::from_str(&answer.content).unwrap_or_default();
    (answer.status.as_u16(), problem.get("code").cloned())
}
