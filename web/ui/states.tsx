/** What stands where content does not: nothing there, not there yet, could not be had. */
import { CircleAlert, type LucideIcon, RotateCw } from "lucide-react";
import type { ReactElement, ReactNode } from "react";
import { TaskTrackError } from "../../src/client/error.ts";
import { useWords } from "../i18n/language.ts";
import { shared } from "../i18n/shared.ts";
import { Button } from "./button.tsx";

export function EmptyState({
  icon: Icon,
  title,
  children,
}: {
  icon: LucideIcon;
  title: string;
  children?: ReactNode;
}): ReactElement {
  return (
    <div className="empty">
      <Icon size={28} strokeWidth={1.5} aria-hidden />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** As high as what comes, so that nothing moves when it does. */
export function Skeleton({ rows = 1 }: { rows?: number }): ReactElement {
  const t = useWords(shared);
  return (
    <div className="skeleton" role="status" aria-label={t.loading}>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike and never move
        <div key={row} className="skeleton-row" />
      ))}
    </div>
  );
}

/** An error in a sentence, the request's id for the server's log, and a way on. */
export function ErrorState({ error, onRetry }: { error: unknown; onRetry?: () => void }): ReactElement {
  const t = useWords(shared);
  const { sentence, request } = useErrorWords()(error);
  return (
    <div className="error-state" role="alert">
      <CircleAlert size={20} aria-hidden />
      <div>
        <p className="error-sentence">{sentence}</p>
        {request !== null && <p className="muted">{request}</p>}
      </div>
      {onRetry !== undefined && (
        <Button icon={RotateCw} onClick={onRetry}>
          {t.tryAgain}
        </Button>
      )}
    </div>
  );
}

export type ErrorWords = {
  readonly sentence: string;
  /** "Request 7f-3", for the server's log; null where the server answered none. */
  readonly request: string | null;
};

/** The server's own sentence where it sent one. */
export function useErrorWords(): (error: unknown) => ErrorWords {
  const t = useWords(shared);
  return (error) => {
    if (!(error instanceof TaskTrackError)) {
      const sentence = error instanceof Error ? `${t.unexpected}: ${error.message}` : t.unexpected;
      return { sentence, request: null };
    }
    if (error.status === 0) return { sentence: t.unreachable, request: null };
    return {
      sentence: error.message,
      request: error.requestId === null ? null : t.requestId(error.requestId),
    };
  };
}
