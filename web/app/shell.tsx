/** The frame around every page. */
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { ChartNoAxesColumn, CircleHelp, ListChecks, Plus, WifiOff } from "lucide-react";
import { type ReactElement, useEffect, useRef, useState } from "react";
import { useConnection } from "../api/connection.ts";
import { chooseLanguage, useLanguage, useWords } from "../i18n/language.ts";
import { shared } from "../i18n/shared.ts";
import { LANGUAGES } from "../i18n/words.ts";
import { HelpSheet } from "../keys/help-sheet.tsx";
import { useShortcut } from "../keys/shortcuts.ts";
import { words as keyWords } from "../keys/words.ts";
import { IconButton } from "../ui/button.tsx";
import { Toasts } from "../ui/toast.tsx";
import { words } from "./words.ts";

const MAIN = "main";

export function Shell(): ReactElement {
  const t = useWords(words);
  const main = useRef<HTMLElement>(null);
  useFocusOnNavigation(main);
  return (
    <>
      <a className="skip-link" href={`#${MAIN}`}>
        {t.skip}
      </a>
      <Bar />
      <main ref={main} id={MAIN} className="page" tabIndex={-1}>
        <Outlet />
      </main>
      <Away />
      <Toasts />
    </>
  );
}

function Bar(): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const [helpOpen, setHelpOpen] = useState(false);
  useFrameShortcuts(() => setHelpOpen(true));
  return (
    <header className="bar">
      <div className="bar-inner">
        <Link to="/tasks" className="brand" aria-label="TaskTrack">
          <Mark />
          <span className="brand-name">TaskTrack</span>
        </Link>
        <nav className="nav" aria-label={t.mainNavigation}>
          <Link to="/tasks" className="nav-link" activeOptions={{ includeSearch: false }}>
            <ListChecks size={16} aria-hidden className="wide-only" />
            {common.tasks}
          </Link>
          <Link to="/overview" className="nav-link">
            <ChartNoAxesColumn size={16} aria-hidden className="wide-only" />
            {common.overview}
          </Link>
        </nav>
        <span className="bar-space" />
        <Language />
        <IconButton icon={CircleHelp} label={t.help} onClick={() => setHelpOpen(true)} />
        <Link to="/new" className="button primary new-link" aria-label={common.newTask}>
          <Plus size={16} aria-hidden />
          <span className="button-words">{common.newTask}</span>
        </Link>
      </div>
      <HelpSheet open={helpOpen} onClose={() => setHelpOpen(false)} />
    </header>
  );
}

function useFrameShortcuts(openHelp: () => void): void {
  const t = useWords(keyWords);
  const navigate = useNavigate();
  useShortcut("?", t.help, openHelp);
  useShortcut("g t", t.toTasks, () => void navigate({ to: "/tasks" }));
  useShortcut("g o", t.toOverview, () => void navigate({ to: "/overview" }));
  useShortcut("n", t.toNew, () => void navigate({ to: "/new" }));
}

const Mark = (): ReactElement => (
  <svg width="24" height="24" viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" fill="var(--accent)" />
    <path
      d="M9 16.5l4.5 4.5L23 11.5"
      fill="none"
      stroke="#fff"
      strokeWidth="3.2"
      strokeLinecap="round"
      strokeLinejoin="round"
    />
  </svg>
);

const LANGUAGE_NAMES = { en: "EN", ru: "RU" } as const;

function Language(): ReactElement {
  const t = useWords(words);
  const chosen = useLanguage();
  return (
    <select
      className="input language"
      aria-label={t.language}
      value={chosen}
      onChange={(event) => {
        const language = LANGUAGES.find((one) => one === event.target.value);
        if (language !== undefined) chooseLanguage(language);
      }}
    >
      {LANGUAGES.map((language) => (
        <option key={language} value={language}>
          {LANGUAGE_NAMES[language]}
        </option>
      ))}
    </select>
  );
}

/** Covers the page instead of moving it down. The region is always in the document, so that screen readers announce its changes. */
function Away(): ReactElement {
  const t = useWords(words);
  const isAway = useConnection() === "away";
  return (
    <div role="status">
      {isAway && (
        <p className="away">
          <WifiOff size={16} aria-hidden />
          {t.away}
        </p>
      )}
    </div>
  );
}

/** After a navigation, keyboards and screen readers continue at the start of the new page. */
function useFocusOnNavigation(main: { readonly current: HTMLElement | null }): void {
  const path = useRouterState({ select: ({ resolvedLocation }) => resolvedLocation?.pathname });
  const previous = useRef(path);
  useEffect(() => {
    if (previous.current !== undefined && previous.current !== path) main.current?.focus();
    previous.current = path;
  }, [path, main]);
}
