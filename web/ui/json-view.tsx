import { type ReactElement, useMemo } from "react";
import { allExpanded, JsonView as Base, collapseAllNested } from "react-json-view-lite";
import { useWords } from "../i18n/language.ts";
import { defineWords } from "../i18n/words.ts";
import { inPieces } from "./json-pieces.ts";

const words = defineWords({ fold: "Fold", unfold: "Unfold" }, { fold: "Свернуть", unfold: "Развернуть" });

const STYLE = {
  container: "json",
  basicChildStyle: "json-child",
  childFieldsContainer: "json-children",
  label: "json-label",
  clickableLabel: "json-label",
  nullValue: "json-other",
  undefinedValue: "json-other",
  booleanValue: "json-other",
  otherValue: "json-other",
  numberValue: "json-number",
  stringValue: "json-string",
  punctuation: "json-mark",
  expandIcon: "json-icon closed",
  collapseIcon: "json-icon opened",
  collapsedContent: "json-more",
  noQuotesForStringValues: false,
  quotesForFieldNames: false,
  stringifyStringValues: true, // a quote or a line break within a text must not look like its end
};

/** What is larger begins folded. */
const SHOWN_WHOLE = 4_000;

/** Any JSON, to be folded and unfolded. A large one begins folded, and never draws more than a screen or two at once. */
export function JsonView({ value, label }: { value: unknown; label: string }): ReactElement {
  const t = useWords(words);
  const { pieces, isSmall } = useMemo(() => {
    return { pieces: inPieces(value), isSmall: JSON.stringify(value).length <= SHOWN_WHOLE };
  }, [value]);
  if (typeof pieces !== "object" || pieces === null)
    return <pre className="json">{JSON.stringify(pieces)}</pre>;
  return (
    <Base
      data={pieces}
      aria-label={label}
      clickToExpandNode
      shouldExpandNode={isSmall ? allExpanded : collapseAllNested}
      style={{ ...STYLE, ariaLables: { collapseJson: t.fold, expandJson: t.unfold } }}
    />
  );
}
