import type { ReactElement } from "react";
import type { Task } from "../../../src/client/client.ts";
import { printJson } from "../../form/json-text.ts";
import { useWords } from "../../i18n/language.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { JsonView } from "../../ui/json-view.tsx";
import { words } from "./words.ts";

export function Payload({ task }: { task: Task }): ReactElement {
  const t = useWords(words);
  return <Json title={t.payload} value={task.payload} none={t.noPayload} />;
}

export function Result({ task }: { task: Task }): ReactElement {
  const t = useWords(words);
  return <Json title={t.result} value={task.result} none={t.noResult} />;
}

function Json({ title, value, none }: { title: string; value: unknown; none: string }): ReactElement {
  const isThere = value !== null && value !== undefined;
  return (
    <div className="card task-panel">
      <div className="task-panel-head">
        <h2>{title}</h2>
        {isThere && <CopyButton text={() => printJson(value)} />}
      </div>
      {isThere ? (
        <section
          className="task-json"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
          tabIndex={0}
          aria-label={title}
        >
          <JsonView value={value} label={title} />
        </section>
      ) : (
        <p className="muted task-none">{none}</p>
      )}
    </div>
  );
}
