import type { ReactElement } from "react";

/** What is longer may be higher than its place, which then scrolls and is reached by keyboard. */
const LONG = 200;

/** A text of strangers: its own direction, its own line breaks, no higher than its place. */
export const LongText = ({ text, className }: { text: string; className: string }): ReactElement => (
  <p className={className} dir="auto" tabIndex={text.length > LONG || text.includes("\n") ? 0 : undefined}>
    {text}
  </p>
);
