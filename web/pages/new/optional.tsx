/** Rarely used fields, collapsed until one of them is set or has an error. */
import { type ReactElement, useState } from "react";
import type { Faults } from "../../form/faults.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { Select, TextField } from "../../ui/fields.tsx";
import { type Form, usesOptional } from "./form.ts";
import { words } from "./words.ts";

export type FieldProps = {
  readonly form: Form;
  readonly onChange: (form: Form) => void;
  readonly faults: Faults;
};

const FIELDS = ["priority", "delay", "run_at", "timeout", "max_attempts", "backoff", "key"];
const STARTS = ["now", "delay", "at"] as const satisfies readonly Form["start"][];

export function OptionalFields(props: FieldProps): ReactElement {
  const t = useWords(words);
  const [isOpen, setIsOpen] = useState(() => usesOptional(props.form));
  const isWrong = FIELDS.some((field) => props.faults(field) !== null);
  return (
    <details
      className="new-more"
      open={isOpen || isWrong}
      onToggle={(event) => setIsOpen(event.currentTarget.open)}
    >
      <summary>{t.more}</summary>
      <div className="new-grid">
        <Fields {...props} />
      </div>
    </details>
  );
}

type Text = Exclude<keyof Form, "tags" | "labels" | "start">;

function Fields({ form, onChange, faults }: FieldProps): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const of = (field: Text, fault: string = field) => ({
    value: form[field],
    error: faults(fault),
    autoComplete: "off",
    onChange: (value: string) => onChange({ ...form, [field]: value }),
  });
  const choose = (value: string): void => {
    const start = STARTS.find((one) => one === value);
    if (start !== undefined) onChange({ ...form, start });
  };
  return (
    <>
      <Select
        label={t.start}
        value={form.start}
        onChange={choose}
        options={[
          { value: "now", label: t.startNow },
          { value: "delay", label: t.startDelay },
          { value: "at", label: t.startAt },
        ]}
      />
      {form.start === "delay" && <TextField label={t.delay} hint={t.delayHint} {...of("delay")} />}
      {form.start === "at" && (
        <TextField
          label={common.scheduledStart}
          hint={common.inYourTimeZone}
          type="datetime-local"
          step="1"
          {...of("run_at")}
        />
      )}
      <TextField label={common.priority} hint={t.priorityHint} placeholder="0" {...of("priority")} />
      <TextField label={common.timeout} hint={t.timeoutHint} {...of("timeout")} />
      <TextField
        label={common.maxAttempts}
        hint={t.maxAttemptsHint}
        {...of("max_attempts")}
        inputMode="numeric"
      />
      <TextField
        label={t.backoffBase}
        hint={t.backoffHint}
        placeholder="1s"
        {...of("backoff_base", "backoff.base")}
      />
      <TextField label={t.backoffMax} placeholder="1h" {...of("backoff_max", "backoff.max")} />
      <TextField label={common.key} hint={t.keyHint} {...of("key")} dir="auto" />
    </>
  );
}
