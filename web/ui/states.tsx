/** Placeholders for content: empty, loading, error. */
import { CircleAlert, type LucideIcon, RotateCw } from "lucide-react";
import type { ReactElement, ReactNode } from "react";
import { TaskTrackError } from "../../src/client/error.ts";
import { useLanguage, useWords } from "../i18n/language.ts";
import { translatedError } from "../i18n/server-texts.ts";
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

/** As high as the expected content, so that the layout does not shift when the content loads. */
export function Skeleton({ rows = 1 }: { rows?: number }): ReactElement {
  const t = useWords(shared);
  return (
    <div className="skeleton" role="status" aria-label={t.loading}>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: all rows are identical and keep their order
        <div key={row} className="skeleton-row" />
      ))}
    </div>
  );
}

/** The error as a sentence, the request id for a search in the server's log, and a button to try again. */
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
  /** "Request ID: 7f-3", for a search in the server's log; null if the server did not answer. */
  readonly request: string | null;
};

/** The server's sentence if the server sent one, in the user's language. */
export function useErrorWords(): (error: unknown) => ErrorWords {
  const t = useWords(shared);
  const language = useLanguage();
  return (error) => {
    if (!(error instanceof TaskTrackError)) {
      const sentence = error instanceof Error ? `${t.unexpected}: ${error.message}` : t.unexpected;
      return { sentence, request: null };
    }
    if (error.status === 0) return { sentence: t.unreachable, request: null };
    return {
      sentence: translatedError(language, error),
      request: error.requestId === null ? null : t.requestId(error.requestId),
    };
  };
}
