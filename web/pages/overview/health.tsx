import { Link } from "@tanstack/react-router";
import { CircleAlert, CircleCheck, Hourglass } from "lucide-react";
import type { ReactElement } from "react";
import type { Stats } from "../../../src/client/client.ts";
import { useReady } from "../../api/queries.ts";
import { useLanguage, useWords } from "../../i18n/language.ts";
import { translatedStore } from "../../i18n/server-texts.ts";
import { isolated } from "../../text/isolate.ts";
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
            {t.waitsFor(formatDuration(language, durationMs(oldest.waited)))}
          </p>
        )}
      </div>
    </section>
  );
}

/** The state of the store as the server reports it. */
export function StoreHealth(): ReactElement {
  const t = useWords(words);
  const language = useLanguage();
  const wordsOf = useErrorWords();
  const { data, error } = useReady();
  return error === null ? (
    <Health isGood head={t.store} state={t.ready} more={translatedStore(language, data?.store ?? "")} />
  ) : (
    <Health isGood={false} head={t.store} state={t.notReady} more={wordsOf(error).sentence} />
  );
}

/** The state of the broker, if one is configured. */
export function BrokerHealth(): ReactElement | null {
  const t = useWords(words);
  const broker = useReady().data?.broker;
  if (broker === undefined) return null;
  const { name, state } = broker;
  const wordsOf = {
    up: t.brokerUp,
    away: t.brokerAway,
    blocked: t.brokerBlocked,
    no_submissions: t.brokerNoSubmissions,
  };
  return <Health isGood={state === "up"} head={t.broker} state={isolated(name)} more={wordsOf[state]} />;
}

type HealthProps = {
  readonly isGood: boolean;
  readonly head: string;
  readonly state: string;
  readonly more: string;
};

function Health({ isGood, head, state, more }: HealthProps): ReactElement {
  const Icon = isGood ? CircleCheck : CircleAlert;
  return (
    <section className={`card overview-fact ${isGood ? "good" : "bad"}`} aria-live="polite">
      <Icon size={18} aria-hidden />
      <div>
        <h2>{head}</h2>
        <p>
          <strong>{state}</strong> <span className="muted">{more}</span>
        </p>
      </div>
    </section>
  );
}
