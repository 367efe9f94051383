import type { ReactElement } from "react";
import { indented } from "../../../src/core/json-text.ts";
import type { JsonText } from "../../../src/core/task.ts";
import type { WrittenTask } from "../../api/written.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { JsonView } from "../../ui/json-view.tsx";
import { words } from "./words.ts";

export function Payload({ task }: { task: WrittenTask }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  return <Json title={common.payload} text={task.payloadText} none={t.noPayload} />;
}

export function Result({ task }: { task: WrittenTask }): ReactElement {
  const t = useWords(words);
  return <Json title={t.result} text={task.resultText} none={t.noResult} />;
}

function Json({ title, text, none }: { title: string; text: JsonText | null; none: string }): ReactElement {
  return (
    <div className="card task-panel">
      <div className="task-panel-head">
        <h2>{title}</h2>
        {text !== null && <CopyButton text={() => indented(text)} />}
      </div>
      {text !== null ? (
        <section
          className="task-json"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: keyboard users must be able to focus a scrollable element
          tabIndex={0}
          aria-label={title}
        >
          <JsonView text={text} label={title} />
        </section>
      ) : (
        <p className="muted task-none">{none}</p>
      )}
    </div>
  );
}
