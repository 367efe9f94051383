import type { ReactElement } from "react";
import type { Progress } from "../../src/client/client.ts";
import { useWords } from "../i18n/language.ts";
import { shared } from "../i18n/shared.ts";

export function ProgressBar({ progress }: { progress: Progress }): ReactElement {
  const t = useWords(shared);
  const percent = Math.round(progress.percent);
  return (
    <span className="progress" title={progress.message}>
      <progress className="progress-bar" max={100} value={percent} aria-label={t.progress} />
      <span className="progress-percent">{percent}%</span>
    </span>
  );
}
