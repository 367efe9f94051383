/**
 * A JSON field with line numbers, the position of the first syntax error, and a button that formats the text. It uses the native
 * text area, which works best with keyboards, phones and screen readers. An editor library would be larger than the page.
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
  /** The server's error for this field. */
  readonly error?: string | null;
};

const LINES_SHOWN = 6;
/** Later lines have no number: numbers for a megabyte of short lines would need more text than the JSON itself. */
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
            {t.goToError}
          </button>
        )}
      </div>
    </div>
  );
}

const lineNumbers = (count: number, wrong: number | null): ReactElement[] =>
  Array.from({ length: Math.min(count, LINES_NUMBERED) }, (_, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: the index is the identity of a line
    <span key={index} className={index + 1 === wrong ? "wrong" : ""}>{`${index + 1}\n`}</span>
  ));

function offsetOf(text: string, { line, column }: JsonFault): number {
  const before = text.split("\n").slice(0, line - 1);
  return before.reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
}
