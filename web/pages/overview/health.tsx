import { Link } from "@tanstack/react-router";
import { CircleAlert, CircleCheck, Hourglass } from "lucide-react";
import type { ReactElement } from "react";
import type { Stats } from "../../../src/client/client.ts";
import { useReady } from "../../api/queries.ts";
import { useLanguage, useWords } from "../../i18n/language.ts";
import { durationMs, formatDuration } from "../../time/format.ts";
import { useErrorWords } from "../../ui/states.tsx";
import { words } from "./words.ts";

export function OldestWaiting({ oldest }: { oldest: Stats["oldest_waiting"] }): ReactElement {
  const t = useWords(words);
  const language = useLanguage();
  return (
    <section className="card overview-fact">
      <Hourglass size={18} aria-hidden />
      <div>
        <h2>{t.oldest}</h2>
        {oldest === null ? (
          <p className="muted">{t.nothingWaits}</p>
        ) : (
          <p>
            <Link to="/tasks" search={{ status: ["pending"], type: [oldest.type], sort: "id" }}>
              {oldest.type}
            </Link>{" "}
            {t.waitsSince(formatDuration(language, durationMs(oldest.waited)))}
          </p>
        )}
      </div>
    </section>
  );
}

/** What the server says of its store. */
export function StoreHealth(): ReactElement {
  const t = useWords(words);
  const wordsOf = useErrorWords();
  const { data, error } = useReady();
  const isReady = error === null;
  const Icon = isReady ? CircleCheck : CircleAlert;
  return (
    <section className={`card overview-fact ${isReady ? "good" : "bad"}`} aria-live="polite">
      <Icon size={18} aria-hidden />
      <div>
        <h2>{t.store}</h2>
        <p>
          <strong>{isReady ? t.ready : t.notReady}</strong>{" "}
          <span className="muted">{isReady ? (data?.store ?? "") : wordsOf(error).sentence}</span>
        </p>
      </div>
    </section>
  );
}
