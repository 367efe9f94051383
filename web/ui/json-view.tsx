import { type ReactElement, useMemo } from "react";
import { allExpanded, JsonView as Base, collapseAllNested } from "react-json-view-lite";
import { parseExactly } from "../../src/core/exact-json.ts";
import type { JsonText } from "../../src/core/task.ts";
import { useWords } from "../i18n/language.ts";
import { defineWords } from "../i18n/words.ts";
import { inPieces, NumberAsWritten } from "./json-pieces.ts";

const words = defineWords(
  { collapse: "Collapse", expand: "Expand" },
  { collapse: "Свернуть", expand: "Развернуть" },
);

const STYLE = {
  container: "json",
  basicChildStyle: "json-child",
  childFieldsContainer: "json-children",
  label: "json-label",
  clickableLabel: "json-label",
  nullValue: "json-other",
  undefinedValue: "json-other",
  booleanValue: "json-other",
  otherValue: "json-number",
  numberValue: "json-number",
  stringValue: "json-string",
  punctuation: "json-mark",
  expandIcon: "json-icon closed",
  collapseIcon: "json-icon opened",
  collapsedContent: "json-more",
  noQuotesForStringValues: false,
  quotesForFieldNames: false,
  stringifyStringValues: true, // a quote or a line break inside a string must not look like the end of the string
};

/** Characters. A longer text is collapsed at first. */
const SHOWN_WHOLE = 4_000;

/** JSON as a tree with nodes to collapse and expand. A large text is collapsed at first. */
export function JsonView({ text, label }: { text: JsonText; label: string }): ReactElement {
  const t = useWords(words);
  const pieces = useMemo(() => inPieces(parseExactly(text)), [text]);
  if (pieces instanceof NumberAsWritten) return <pre className="json">{pieces.text}</pre>;
  if (typeof pieces !== "object" || pieces === null)
    return <pre className="json">{JSON.stringify(pieces)}</pre>;
  return (
    <Base
      data={pieces}
      aria-label={label}
      clickToExpandNode
      shouldExpandNode={text.length <= SHOWN_WHOLE ? allExpanded : collapseAllNested}
      style={{ ...STYLE, ariaLables: { collapseJson: t.collapse, expandJson: t.expand } }}
    />
  );
}
