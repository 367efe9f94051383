import { Link } from "@tanstack/react-router";
import type { ReactElement, ReactNode } from "react";
import type { Task } from "../../../src/client/client.ts";
import { labelTexts } from "../../../src/core/task.ts";
import { useExplanation } from "../../api/queries.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { TaskDuration, Time } from "../../time/time.tsx";
import { CopyButton } from "../../ui/copy.tsx";
import { words } from "./words.ts";

export function Facts({ task }: { task: Task }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  return (
    <section className="card task-panel task-facts" aria-label={t.facts}>
      <dl>
        <Fact label={common.id}>
          {task.id} <span className="muted">· {t.version(task.version)}</span>
        </Fact>
        <Fact label={common.type}>
          <Link to="/tasks" search={{ type: [task.type] }} title={t.showTasks(task.type)}>
            {task.type}
          </Link>
        </Fact>
        <Fact label={common.priority}>{task.priority}</Fact>
        {task.tags.length > 0 && (
          <Fact label={common.tags}>
            <Tags tags={task.tags} />
          </Fact>
        )}
        {labelTexts(task.labels).length > 0 && (
          <Fact label={common.labels}>
            <LabelLinks labels={labelTexts(task.labels)} />
          </Fact>
        )}
        {task.key !== null && (
          <Fact label={common.key}>
            <span className="task-key">
              <code dir="auto">{task.key}</code>
              <CopyButton text={task.key} />
            </span>
          </Fact>
        )}
        <Fact label={common.duration}>
          <TaskDuration task={task} />
        </Fact>
        <Fact label={common.attempt}>{t.attemptOf(task.attempt, task.max_attempts)}</Fact>
        <Fact label={common.timeout}>{task.timeout ?? t.noTimeout}</Fact>
        <WorkerFact task={task} />
        <Fact label={common.created}>
          <Time value={task.created_at} />
        </Fact>
        {task.status === "pending" && (
          <Fact label={common.scheduledStart}>
            <Time value={task.run_at} />
          </Fact>
        )}
        {task.started_at !== null && (
          <Fact label={common.started}>
            <Time value={task.started_at} />
          </Fact>
        )}
        {task.finished_at !== null && (
          <Fact label={common.finished}>
            <Time value={task.finished_at} />
          </Fact>
        )}
        <Fact label={t.updated}>
          <Time value={task.updated_at} />
        </Fact>
      </dl>
    </section>
  );
}

const Fact = ({ label, children }: { label: string; children: ReactNode }): ReactElement => (
  <div className="task-fact">
    <dt>{label}</dt>
    <dd>{children}</dd>
  </div>
);

function Tags({ tags }: { tags: readonly string[] }): ReactElement {
  const t = useWords(words);
  return (
    <span className="task-tags">
      {tags.map((tag) => (
        <Link key={tag} to="/tasks" search={{ tag: [tag] }} className="tag" title={t.showTasks(tag)}>
          <bdi>{tag}</bdi>
        </Link>
      ))}
    </span>
  );
}

function LabelLinks({ labels }: { labels: readonly string[] }): ReactElement {
  const t = useWords(words);
  return (
    <span className="task-tags">
      {labels.map((label) => (
        <Link key={label} to="/tasks" search={{ label: [label] }} className="tag" title={t.showTasks(label)}>
          <bdi>{label}</bdi>
        </Link>
      ))}
    </span>
  );
}

/** The current worker of the task, or the last one. */
function WorkerFact({ task }: { task: Task }): ReactElement | null {
  const common = useWords(shared);
  const { data } = useExplanation(task.id);
  const now = task.status === "running" ? data?.worker : null;
  const worker = now ?? (task.status === "running" ? null : task.attempts.at(-1)?.worker) ?? null;
  if (worker === null && task.status !== "running") return null;
  return (
    <Fact label={common.worker}>
      <bdi className="task-anywhere">{worker ?? "\u00a0"}</bdi>
    </Fact>
  );
}
