import { AlertDialog as BaseAlert } from "@base-ui/react/alert-dialog";
import { Dialog as Base } from "@base-ui/react/dialog";
import { X } from "lucide-react";
import type { ReactElement, ReactNode } from "react";
import { useWords } from "../i18n/language.ts";
import { shared } from "../i18n/shared.ts";
import { Button, IconButton } from "./button.tsx";

type DialogProps = {
  readonly open: boolean;
  readonly onClose: () => void;
  readonly title: string;
  readonly children: ReactNode;
  /** Buttons in the footer. */
  readonly actions?: ReactNode;
};

export function Dialog({ open, onClose, title, children, actions }: DialogProps): ReactElement {
  const t = useWords(shared);
  return (
    <Base.Root open={open} onOpenChange={(isOpen) => !isOpen && onClose()}>
      <Base.Portal>
        <Base.Backdrop className="dialog-backdrop" />
        <Base.Popup className="dialog">
          <header className="dialog-head">
            <Base.Title className="dialog-title">{title}</Base.Title>
            <Base.Close render={<IconButton icon={X} label={t.close} />} />
          </header>
          <div className="dialog-body">{children}</div>
          {actions !== undefined && <footer className="dialog-foot">{actions}</footer>}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}

type ConfirmProps = Omit<DialogProps, "actions"> & {
  /** The label of the confirming button: a verb. */
  readonly action: string;
  /** The label of the other button; "Back" by default. */
  readonly back?: string;
  readonly onConfirm: () => void;
  readonly danger?: boolean;
  readonly busy?: boolean;
};

/** Asks for confirmation before an action that cannot be undone. */
export function ConfirmDialog(props: ConfirmProps): ReactElement {
  const t = useWords(shared);
  const { open, onClose, title, children, action, back = t.back, onConfirm } = props;
  const { danger = false, busy = false } = props;
  return (
    <BaseAlert.Root open={open} onOpenChange={(isOpen) => !isOpen && onClose()}>
      <BaseAlert.Portal>
        <BaseAlert.Backdrop className="dialog-backdrop" />
        <BaseAlert.Popup className="dialog">
          <BaseAlert.Title className="dialog-title alone">{title}</BaseAlert.Title>
          <BaseAlert.Description className="dialog-body" render={<div />}>
            {children}
          </BaseAlert.Description>
          <footer className="dialog-foot">
            <BaseAlert.Close render={<Button>{back}</Button>} />
            <Button look={danger ? "danger" : "primary"} busy={busy} onClick={onConfirm}>
              {action}
            </Button>
          </footer>
        </BaseAlert.Popup>
      </BaseAlert.Portal>
    </BaseAlert.Root>
  );
}
