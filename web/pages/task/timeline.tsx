import { Ban, CircleCheck, CircleX, Clock, LoaderCircle, type LucideIcon, Undo2, Unplug } from "lucide-react";
import type { ReactElement } from "react";
import type { Task } from "../../../src/client/client.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { useNow } from "../../time/now.ts";
import { Duration, Time } from "../../time/time.tsx";
import { LongText } from "./long-text.tsx";
import { placeOf, type Span, type Step, timelineOf } from "./timeline.ts";
import { outcomeWords, words } from "./words.ts";

/** The history of the task: one row per attempt, as text and as bars on a common time scale. */
export function TimelinePanel({ task }: { task: Task }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  // The timeline of a finished task does not change, so it must not render each second.
  const now = task.finished_at === null ? <LiveSteps task={task} /> : <Steps task={task} now={0} />;
  return (
    <section className="card task-panel" aria-labelledby="task-timeline">
      <div className="task-panel-head">
        <h2 id="task-timeline">{t.timeline}</h2>
        <span className="muted">
          {common.created} <Time value={task.created_at} />
        </span>
      </div>
      {now}
    </section>
  );
}

function LiveSteps({ task }: { task: Task }): ReactElement {
  return <Steps task={task} now={useNow()} />;
}

function Steps({ task, now }: { task: Task; now: number }): ReactElement {
  const t = useWords(words);
  const { steps, isCut, whole } = timelineOf(task, now);
  return (
    <ol className="task-steps">
      {isCut && <li className="muted">{t.cut}</li>}
      {steps.map((step, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: steps are only appended
        <StepRow key={index} step={step} whole={whole} task={task} />
      ))}
    </ol>
  );
}

const ICONS: Readonly<Record<Step["outcome"], LucideIcon>> = {
  ...{ done: CircleCheck, failed: CircleX, released: Undo2, lost: Unplug, cancelled: Ban, withdrawn: Ban },
  ...{ waiting: Clock, running: LoaderCircle },
};

function StepRow({ step, whole, task }: { step: Step; whole: Span; task: Task }): ReactElement {
  const t = useWords(words);
  const Icon = ICONS[step.outcome];
  return (
    <li className={`task-step ${step.outcome}`}>
      <Icon size={16} aria-hidden className="task-step-icon" />
      <div className="task-step-body">
        {step.isManualRetry && <p className="task-step-again">{t.againStep}</p>}
        <p className="task-step-words">
          <strong>{t.attempt(step.attempt)}</strong> <Outcome step={step} />
          <span className="muted">
            {" · "}
            {t.waited} <Duration ms={step.waited.to - step.waited.from} />
            {step.ran !== null && (
              <>
                {", "}
                {t.ran} <Duration ms={step.ran.to - step.ran.from} />
              </>
            )}
            {step.worker !== null && (
              <>
                {" · "}
                <bdi className="task-anywhere">{t.on(step.worker)}</bdi>
              </>
            )}
            {step.ran !== null && (
              <>
                {" · "}
                <Time value={new Date(step.ran.from).toISOString()} />
              </>
            )}
          </span>
          {step.outcome === "waiting" && Date.parse(task.run_at) > step.waited.to && (
            <span>
              {" · "}
              {t.nextAt} <Time value={task.run_at} />
            </span>
          )}
        </p>
        {step.error !== null && (
          <div className="task-step-error">
            <code>{step.error.code}</code>
            <LongText className="task-step-message" text={step.error.message} />
          </div>
        )}
        <span className="task-track" aria-hidden>
          <Bar span={step.waited} whole={whole} look="wait" />
          {step.ran !== null && <Bar span={step.ran} whole={whole} look="run" />}
        </span>
      </div>
    </li>
  );
}

function Outcome({ step: { outcome } }: { step: Step }): ReactElement {
  const t = useWords(words);
  const outcomes = useWords(outcomeWords);
  const text =
    outcome === "waiting"
      ? t.waitingStep
      : outcome === "running"
        ? t.runningStep
        : outcome === "withdrawn"
          ? t.withdrawnStep
          : outcomes[outcome];
  return <span className="task-step-outcome">{text}</span>;
}

function Bar({ span, whole, look }: { span: Span; whole: Span; look: "wait" | "run" }): ReactElement {
  const { left, width } = placeOf(span, whole);
  return <span className={`task-track-bar ${look}`} style={{ left: `${left}%`, width: `${width}%` }} />;
}
