import { type KeyboardEvent, type ReactElement, type Ref, useId, useState } from "react";

type SuggestProps = {
  readonly label: string;
  readonly placeholder: string;
  readonly text: string;
  readonly onText: (text: string) => void;
  /** Suggestions for the current text. */
  readonly suggestions: readonly string[];
  readonly onPick: (suggestion: string) => void;
  /** Enter was pressed without a highlighted suggestion. */
  readonly onEnter: () => void;
  readonly onFocus?: () => void;
  readonly field?: Ref<HTMLInputElement>;
  readonly type?: "search" | "text";
};

/** A text field with suggestions: arrow keys highlight, Enter accepts, Escape closes the list and then clears the field. */
export function Suggest(props: SuggestProps): ReactElement {
  const { suggestions, onPick, onText } = props;
  const listId = useId();
  const [isOpen, setIsOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const isShown = isOpen && suggestions.length > 0;

  const close = (): void => {
    setIsOpen(false);
    setChosen(-1);
  };
  const pick = (suggestion: string): void => {
    setChosen(-1);
    onPick(suggestion);
  };
  const move = (by: 1 | -1): void => {
    setIsOpen(true);
    const places = suggestions.length + 1; // one more for the typed text itself
    setChosen((at) => ((at + 1 + by + places) % places) - 1);
  };

  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>): void => {
    const suggestion = isShown ? suggestions[chosen] : undefined;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") move(event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "Enter" && suggestion !== undefined) pick(suggestion);
    else if (event.key === "Enter") {
      close();
      props.onEnter();
    } else if (event.key === "Escape" && isShown) close();
    else if (event.key === "Escape" && props.text !== "") {
      close();
      onText("");
    } else if (event.key === "Escape") event.currentTarget.blur();
    else return;
    event.preventDefault();
  };

  return (
    <div className="suggest">
      <input
        ref={props.field}
        className="input"
        type={props.type ?? "text"}
        role="combobox"
        aria-label={props.label}
        aria-expanded={isShown}
        aria-controls={listId}
        aria-autocomplete="list"
        aria-activedescendant={isShown && chosen >= 0 ? `${listId}-${chosen}` : undefined}
        autoComplete="off"
        spellCheck={false}
        placeholder={props.placeholder}
        value={props.text}
        onChange={(event) => {
          setIsOpen(true);
          setChosen(-1);
          onText(event.target.value);
        }}
        onFocus={() => {
          setIsOpen(true);
          props.onFocus?.();
        }}
        onBlur={close}
        onKeyDown={onKeyDown}
      />
      <div id={listId} role="listbox" aria-label={props.label} className="suggest-list" hidden={!isShown}>
        {suggestions.map((suggestion, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field handles the keys and names the option by aria-activedescendant
          // biome-ignore lint/a11y/useFocusableInteractive: as above
          <div
            key={suggestion}
            id={`${listId}-${index}`}
            role="option"
            aria-selected={index === chosen}
            className="suggest-option"
            onMouseDown={(event) => event.preventDefault()} // the field keeps the focus
            onClick={() => pick(suggestion)}
          >
            <bdi>{suggestion}</bdi>
          </div>
        ))}
      </div>
    </div>
  );
}
