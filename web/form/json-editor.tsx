/**
 * A field for JSON: line numbers, the place of the first fault, a button that formats. The browser's own text area underneath:
 * nothing is easier to reach from a keyboard, a phone or a screen reader, and an editor's library would weigh more than the page.
 */
import { WandSparkles } from "lucide-react";
import { type ReactElement, useId, useRef } from "react";
import { indented } from "../../src/core/json-text.ts";
import { useWords } from "../i18n/language.ts";
import { Button } from "../ui/button.tsx";
import { isBlank, type JsonFault, optionalJsonFault } from "./json-text.ts";
import { words } from "./words.ts";

type Props = {
  readonly label: string;
  readonly value: string;
  readonly onChange: (text: string) => void;
  readonly hint?: string;
  /** What the server says of it. */
  readonly error?: string | null;
};

const LINES_SHOWN = 6;
/** Beyond it lines have no numbers: a megabyte of them is more text than JSON. */
const LINES_NUMBERED = 10_000;

export function JsonEditor({ label, value, onChange, hint, error = null }: Props): ReactElement {
  const t = useWords(words);
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const numbers = useRef<HTMLPreElement>(null);
  const fault = optionalJsonFault(value);
  const lines = value.split("\n").length;
  const scroll = (): void => {
    if (numbers.current !== null) numbers.current.scrollTop = area.current?.scrollTop ?? 0;
  };
  const goTo = (fault: JsonFault): void => {
    const at = offsetOf(value, fault);
    area.current?.focus();
    area.current?.setSelectionRange(at, at + 1);
  };
  const isWrong = fault !== null || error !== null;
  return (
    <div className="field">
      <div className="json-editor-head">
        <label className="field-label" htmlFor={id}>
          {label}
        </label>
        <Button
          icon={WandSparkles}
          look="quiet"
          disabled={fault !== null || isBlank(value)}
          onClick={() => onChange(indented(value))}
        >
          {t.format}
        </Button>
      </div>
      <div className="json-editor" aria-invalid={isWrong}>
        <pre ref={numbers} className="json-editor-lines" aria-hidden>
          {lineNumbers(Math.max(lines, LINES_SHOWN), fault?.line ?? null)}
        </pre>
        <textarea
          ref={area}
          id={id}
          className="json-editor-text"
          rows={Math.min(Math.max(lines, LINES_SHOWN), 24)}
          wrap="off"
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          placeholder="{ }"
          value={value}
          aria-invalid={isWrong}
          aria-describedby={`${id}-note`}
          onScroll={scroll}
          onChange={(event) => onChange(event.target.value)}
        />
      </div>
      <div id={`${id}-note`} className={isWrong ? "field-note error" : "field-note"}>
        {fault === null ? (error ?? hint) : t.jsonFault(fault)}{" "}
        {fault !== null && (
          <button type="button" className="link-button" onClick={() => goTo(fault)}>
            {t.goThere}
          </button>
        )}
      </div>
    </div>
  );
}

const lineNumbers = (count: number, wrong: number | null): ReactElement[] =>
  Array.from({ length: Math.min(count, LINES_NUMBERED) }, (_, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: a line is its number
    <span key={index} className={index + 1 === wrong ? "wrong" : ""}>{`${index + 1}\n`}</span>
  ));

function offsetOf(text: string, { line, column }: JsonFault): number {
  const before = text.split("\n").slice(0, line - 1);
  return before.reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
}
