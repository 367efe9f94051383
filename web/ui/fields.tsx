import { X } from "lucide-react";
import {
  type ComponentProps,
  type KeyboardEvent,
  type ReactElement,
  type ReactNode,
  useId,
  useState,
} from "react";
import { useWords } from "../i18n/language.ts";
import { shared } from "../i18n/shared.ts";

type Common = {
  readonly label: string;
  /** A sentence under the field. */
  readonly hint?: ReactNode;
  /** The error of the field; null if there is none. */
  readonly error?: string | null;
  /** Only screen readers get the label. */
  readonly hideLabel?: boolean;
};

type Described = {
  readonly id: string;
  readonly "aria-invalid": boolean;
  readonly "aria-describedby"?: string;
};

/** A label, a control, and an error or a hint. */
function Field({
  label,
  hint,
  error = null,
  hideLabel = false,
  children,
}: Common & { children: (props: Described) => ReactNode }): ReactElement {
  const id = useId();
  const hasNote = error !== null || hint !== undefined;
  const described = hasNote ? { "aria-describedby": `${id}-note` } : {};
  return (
    <div className="field">
      <label className={hideLabel ? "visually-hidden" : "field-label"} htmlFor={id}>
        {label}
      </label>
      {children({ id, "aria-invalid": error !== null, ...described })}
      {hasNote && (
        <div id={`${id}-note`} className={error === null ? "field-note" : "field-note error"}>
          {error ?? hint}
        </div>
      )}
    </div>
  );
}

type Bare<Element extends "input" | "textarea" | "select"> = Omit<
  ComponentProps<Element>,
  "className" | "id" | "onChange" | "value"
> & { readonly value: string; readonly onChange: (value: string) => void };

export function TextField({
  label,
  hint,
  error = null,
  hideLabel = false,
  onChange,
  ...rest
}: Common & Bare<"input">): ReactElement {
  return (
    <Field label={label} hint={hint} error={error} hideLabel={hideLabel}>
      {(props) => (
        <input {...rest} {...props} className="input" onChange={(event) => onChange(event.target.value)} />
      )}
    </Field>
  );
}

export function TextArea({
  label,
  hint,
  error = null,
  hideLabel = false,
  onChange,
  code = false,
  ...rest
}: Common & Bare<"textarea"> & { readonly code?: boolean }): ReactElement {
  return (
    <Field label={label} hint={hint} error={error} hideLabel={hideLabel}>
      {(props) => (
        <textarea
          rows={4}
          {...rest}
          {...props}
          className={code ? "input code" : "input"}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

export type Option = { readonly value: string; readonly label: string };

/** The browser's native control: it works best with keyboards, phones and screen readers. */
export function Select({
  label,
  hint,
  error = null,
  hideLabel = false,
  onChange,
  options,
  ...rest
}: Common & Bare<"select"> & { readonly options: readonly Option[] }): ReactElement {
  return (
    <Field label={label} hint={hint} error={error} hideLabel={hideLabel}>
      {(props) => (
        <select
          {...rest}
          {...props}
          className="input select"
          onChange={(event) => onChange(event.target.value)}
        >
          {options.map(({ value, label: text }) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

type TagInputProps = Common & {
  readonly tags: readonly string[];
  readonly onChange: (tags: readonly string[]) => void;
  /** Shown while the user types. */
  readonly suggestions?: readonly string[];
  /** Whether a tag may have commas; if not, a comma ends the tag. */
  readonly hasCommas?: boolean;
  /** While there are none; "Add a tag" unless given. */
  readonly placeholder?: string;
};

export function TagInput({
  tags,
  onChange,
  suggestions = [],
  hasCommas = false,
  placeholder,
  ...common
}: TagInputProps): ReactElement {
  const t = useWords(shared);
  const listId = useId();
  const [text, setText] = useState("");

  const add = (): void => {
    const tag = text.trim();
    setText("");
    if (tag !== "" && !tags.includes(tag)) onChange([...tags, tag]);
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Enter" || (event.key === "," && !hasCommas)) {
      if (text.trim() === "") return; // Enter in an empty field submits the form
      event.preventDefault();
      add();
    }
    if (event.key === "Backspace" && text === "") onChange(tags.slice(0, -1));
  };

  return (
    <Field {...common}>
      {(props) => (
        <div className="tag-input">
          {tags.map((tag) => (
            <span key={tag} className="tag">
              {tag}
              <button
                type="button"
                aria-label={t.removeTag(tag)}
                onClick={() => onChange(tags.filter((one) => one !== tag))}
              >
                <X size={12} aria-hidden />
              </button>
            </span>
          ))}
          <input
            {...props}
            list={listId}
            value={text}
            placeholder={tags.length === 0 ? (placeholder ?? t.addTag) : ""}
            onChange={(event) => setText(event.target.value)}
            onKeyDown={onKeyDown}
            onBlur={add}
          />
          <datalist id={listId}>
            {suggestions.map((suggestion) => (
              <option key={suggestion} value={suggestion} />
            ))}
          </datalist>
        </div>
      )}
    </Field>
  );
}
