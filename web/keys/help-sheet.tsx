import type { ReactElement } from "react";
import { useWords } from "../i18n/language.ts";
import { Dialog } from "../ui/dialog.tsx";
import { enableShortcuts, type Shortcut, useShortcutList, useShortcutsEnabled } from "./shortcuts.ts";
import { words } from "./words.ts";

export function HelpSheet({ open, onClose }: { open: boolean; onClose: () => void }): ReactElement {
  const t = useWords(words);
  const shortcuts = useShortcutList();
  const isOn = useShortcutsEnabled();
  return (
    <Dialog open={open} onClose={onClose} title={t.title}>
      <dl className="help-sheet">
        {shortcuts.toReversed().map((shortcut) => (
          <Row key={shortcut.keys} shortcut={shortcut} />
        ))}
      </dl>
      <label className="check">
        <input type="checkbox" checked={isOn} onChange={(event) => enableShortcuts(event.target.checked)} />
        {t.enabled}
      </label>
    </Dialog>
  );
}

function Row({ shortcut: { keys, label } }: { shortcut: Shortcut }): ReactElement {
  const t = useWords(words);
  return (
    <div className="help-row">
      <dt>{label}</dt>
      <dd>
        {keys.split(" ").map((key, index) => (
          <span key={key}>
            {index > 0 && <span className="muted"> {t.followedBy} </span>}
            <kbd>{key}</kbd>
          </span>
        ))}
      </dd>
    </div>
  );
}
