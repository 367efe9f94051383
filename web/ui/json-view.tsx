import type { ReactElement } from "react";
import { allExpanded, JsonView as Base, collapseAllNested } from "react-json-view-lite";
import { useWords } from "../i18n/language.ts";
import { defineWords } from "../i18n/words.ts";

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
};

/** What is larger begins folded. */
const SHOWN_WHOLE = 4_000;

/** Any JSON, to be folded and unfolded. */
export function JsonView({ value, label }: { value: unknown; label: string }): ReactElement {
  const t = useWords(words);
  if (typeof value !== "object" || value === null) return <pre className="json">{JSON.stringify(value)}</pre>;
  const isSmall = JSON.stringify(value).length <= SHOWN_WHOLE;
  return (
    <Base
      data={value}
      aria-label={label}
      clickToExpandNode
      shouldExpandNode={isSmall ? allExpanded : collapseAllNested}
      style={{ ...STYLE, ariaLables: { collapseJson: t.fold, expandJson: t.unfold } }}
    />
  );
}
