/** The task's log. It scrolls to new lines until the user scrolls up. Filters: level and text. */
import { ArrowDown, ScrollText } from "lucide-react";
import { memo, type ReactElement, useLayoutEffect, useMemo, useRef, useState } from "react";
import type { LogLevel, LogLine, Task } from "../../../src/client/client.ts";
import { useLog } from "../../api/queries.ts";
import { useLanguage, useWords } from "../../i18n/language.ts";
import { formatExact, formatSecond } from "../../time/format.ts";
import { Button } from "../../ui/button.tsx";
import { CopyButton } from "../../ui/copy.tsx";
import { Select, TextField } from "../../ui/fields.tsx";
import { EmptyState, ErrorState, Skeleton } from "../../ui/states.tsx";
import { words } from "./words.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const satisfies readonly LogLevel[];

export function LogPanel({ task }: { task: Task }): ReactElement {
  const t = useWords(words);
  const { data, error, isPending, refetch } = useLog(task.id, task.status === "running");
  return (
    <section className="card task-panel" aria-labelledby="task-log">
      <div className="task-panel-head">
        <h2 id="task-log">{t.log}</h2>
      </div>
      {isPending && <Skeleton rows={2} />}
      {data === undefined && error !== null && <ErrorState error={error} onRetry={() => void refetch()} />}
      {data?.length === 0 && (
        <div className="task-log-empty">
          <EmptyState icon={ScrollText} title={t.logEmpty}>
            <p>{t.logEmptyText}</p>
          </EmptyState>
        </div>
      )}
      {data !== undefined && data.length > 0 && <Lines lines={data} />}
    </section>
  );
}

function Lines({ lines }: { lines: readonly LogLine[] }): ReactElement {
  const t = useWords(words);
  const [least, setLeast] = useState<LogLevel>("debug");
  const [text, setText] = useState("");
  const shown = useMemo(() => matching(lines, least, text), [lines, least, text]);
  return (
    <>
      <div className="task-log-tools">
        <TextField
          label={t.filterLog}
          hideLabel
          placeholder={t.filterLog}
          value={text}
          onChange={setText}
          type="search"
        />
        <Select
          label={t.level}
          hideLabel
          value={least}
          onChange={(value) => setLeast(LEVELS.find((level) => level === value) ?? "debug")}
          options={[
            { value: "debug", label: t.allLevels },
            { value: "info", label: t.infoUp },
            { value: "warn", label: t.warnUp },
            { value: "error", label: t.errorUp },
          ]}
        />
        <span className="muted task-log-count" role="status">
          {t.lines(shown.length, lines.length)}
        </span>
        <CopyButton text={() => shown.map(asText).join("\n")} label={t.copyLog} />
      </div>
      <Scroller lines={shown} />
    </>
  );
}

function matching(lines: readonly LogLine[], least: LogLevel, text: string): readonly LogLine[] {
  const from = LEVELS.indexOf(least);
  const wanted = text.trim().toLowerCase();
  return lines.filter(
    ({ level, message }) =>
      LEVELS.indexOf(level) >= from && (wanted === "" || message.toLowerCase().includes(wanted)),
  );
}

const asText = ({ at, level, message }: LogLine): string => `${at} ${level.padEnd(5)} ${message}`;

/** Pixels. A smaller distance counts as the end of the log: zoomed pages scroll by fractions of a pixel. */
const END_TOLERANCE = 8;

function Scroller({ lines }: { lines: readonly LogLine[] }): ReactElement {
  const t = useWords(words);
  const place = useRef<HTMLDivElement>(null);
  const lastTop = useRef(0);
  const [isFollowing, setIsFollowing] = useState(true);
  const [seen, setSeen] = useState(0);
  const lastN = lines.at(-1)?.n ?? 0;

  useLayoutEffect(() => {
    const element = place.current;
    if (element === null || !isFollowing) return;
    element.scrollTop = element.scrollHeight;
    lastTop.current = element.scrollTop;
    setSeen(lastN);
  }, [lastN, isFollowing]);

  /** Only scrolling up stops the following; new lines do not change the scroll position. */
  const onScroll = (): void => {
    const element = place.current;
    if (element === null) return;
    const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight <= END_TOLERANCE;
    if (isAtEnd) setIsFollowing(true);
    else if (element.scrollTop < lastTop.current) setIsFollowing(false);
    lastTop.current = element.scrollTop;
  };

  const missed = lines.filter(({ n }) => n > seen).length;
  return (
    <div className="task-log-frame">
      <div
        ref={place}
        className="task-log"
        role="log"
        aria-live="off"
        aria-label={t.log}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: keyboard users must be able to focus a scrollable element
        tabIndex={0}
        onScroll={onScroll}
      >
        {lines.length === 0 && <p className="muted task-log-nothing">{t.logNothing}</p>}
        {lines.map((line) => (
          <Line key={line.n} line={line} />
        ))}
      </div>
      {!isFollowing && (
        <div className="task-log-follow">
          <Button icon={ArrowDown} onClick={() => setIsFollowing(true)}>
            {missed > 0 ? t.newLines(missed) : t.follow}
          </Button>
        </div>
      )}
    </div>
  );
}

/** The browser lays out invisible lines only when they become visible (`content-visibility`). Find and copy still include them. */
const Line = memo(function Line({ line: { at, level, message } }: { line: LogLine }): ReactElement {
  const language = useLanguage();
  return (
    <div className={`task-line ${level}`}>
      <time dateTime={at} title={formatExact(language, Date.parse(at))}>
        {formatSecond(language, Date.parse(at))}
      </time>
      <span className="task-line-level">{level}</span>
      <span className="task-line-message" dir="auto">
        {message}
      </span>
    </div>
  );
});
