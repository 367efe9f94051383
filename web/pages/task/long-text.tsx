import type { ReactElement } from "react";

/** Characters. A longer text may need to scroll, so keyboard users must be able to focus it. */
const LONG = 200;

/** A text from users: own writing direction, own line breaks, limited height. */
export const LongText = ({ text, className }: { text: string; className: string }): ReactElement => (
  <p className={className} dir="auto" tabIndex={text.length > LONG || text.includes("\n") ? 0 : undefined}>
    {text}
  </p>
);
