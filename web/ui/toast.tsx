import { Toast as Base } from "@base-ui/react/toast";
import { X } from "lucide-react";
import type { ReactElement } from "react";
import { useWords } from "../i18n/language.ts";
import { shared } from "../i18n/shared.ts";
import { IconButton } from "./button.tsx";

const manager = Base.createToastManager();

export type ToastSpec = {
  readonly title: string;
  readonly text?: string;
  readonly look?: "plain" | "failed";
  /** An optional button. */
  readonly action?: { readonly label: string; readonly run: () => void };
};

/** Shows the outcome of an action for a few seconds. Screen readers announce it. */
export function toast({ title, text, look = "plain", action }: ToastSpec): void {
  manager.add({
    title,
    description: text,
    type: look,
    priority: look === "failed" ? "high" : "low",
    ...(action === undefined ? {} : { actionProps: { children: action.label, onClick: action.run } }),
  });
}

export function Toasts(): ReactElement {
  return (
    <Base.Provider toastManager={manager}>
      <Base.Portal>
        <Base.Viewport className="toasts">
          <ToastList />
        </Base.Viewport>
      </Base.Portal>
    </Base.Provider>
  );
}

function ToastList(): ReactElement[] {
  const t = useWords(shared);
  const { toasts } = Base.useToastManager();
  return toasts.map((one) => (
    <Base.Root key={one.id} toast={one} className={`toast ${one.type ?? "plain"}`}>
      <Base.Content className="toast-content">
        <div className="toast-words">
          <Base.Title className="toast-title" />
          <Base.Description className="toast-text" />
        </div>
        {one.actionProps !== undefined && <Base.Action className="button plain" />}
        <Base.Close render={<IconButton icon={X} label={t.close} />} />
      </Base.Content>
    </Base.Root>
  ));
}
