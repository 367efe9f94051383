/** The curl command for each button of the page. */
import type { ReactElement } from "react";
import { bodyOf } from "../../../src/client/body.ts";
import type { TaskSpec } from "../../../src/client/client.ts";
import { compacted } from "../../../src/core/json-text.ts";
import { labelTexts } from "../../../src/core/task.ts";
import type { WrittenTask } from "../../api/written.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { CopyButton, curlOf, LONGEST_CURL } from "../../ui/copy.tsx";
import { words } from "./words.ts";

export function CurlLines({ task }: { task: WrittenTask }): ReactElement {
  const t = useWords(words);
  return (
    <details className="card task-panel task-curl">
      <summary>
        <h2>{t.curl}</h2>
      </summary>
      <p className="muted">{t.curlText}</p>
      <dl>
        {useLines(task).map(([label, command]) => (
          <div key={label}>
            <dt>{label}</dt>
            {command === null ? (
              <dd className="muted">{t.curlTooLong}</dd>
            ) : (
              <dd className="curl-line">
                <code dir="ltr">{command}</code>
                <CopyButton text={command} />
              </dd>
            )}
          </div>
        ))}
      </dl>
    </details>
  );
}

function useLines(task: WrittenTask): readonly (readonly [string, string | null])[] {
  const t = useWords(words);
  const common = useWords(shared);
  const path = `/api/task/${task.id}`;
  const isLong = (task.payloadText?.length ?? 0) > LONGEST_CURL;
  return [
    [t.curlRead, curlOf("GET", path)],
    [t.curlLog, curlOf("GET", `${path}/log`)],
    [t.curlExplain, curlOf("GET", `${path}/explain`)],
    [common.edit, curlOf("PATCH", path, bodyOf({ name: t.curlEditName }))],
    [common.cancel, curlOf("POST", `${path}/cancel`)],
    [common.retry, curlOf("POST", `${path}/retry`)],
    [t.duplicate, isLong ? null : curlOf("POST", "/api/task", bodyOf(duplicateOf(task)))],
    [common.delete, curlOf("DELETE", path)],
  ];
}

/** The request that the form for a duplicate sends if it is not changed. */
function duplicateOf(task: WrittenTask): TaskSpec {
  const { name, description, type, payloadText, priority, tags, labels, timeout, max_attempts } = task;
  return {
    ...{ name, type },
    ...(description === "" ? {} : { description }),
    ...(payloadText === null ? {} : { payloadText: compacted(payloadText) }),
    ...(priority === 0 ? {} : { priority }),
    ...(tags.length === 0 ? {} : { tags }),
    ...(labelTexts(labels).length === 0 ? {} : { labels }),
    ...(timeout === null ? {} : { timeout }),
    max_attempts,
  };
}
