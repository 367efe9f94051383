import { Ban, CircleCheck, CircleDashed, CircleX, LoaderCircle, type LucideIcon } from "lucide-react";
import type { ReactElement } from "react";
import type { Status } from "../../src/client/client.ts";
import { useWords } from "../i18n/language.ts";
import { shared } from "../i18n/shared.ts";

const ICONS: Readonly<Record<Status, LucideIcon>> = {
  pending: CircleDashed,
  running: LoaderCircle,
  done: CircleCheck,
  failed: CircleX,
  cancelled: Ban,
};

/** A status as icon and word. The colour carries no information of its own. */
export function StatusBadge({
  status,
  cancelling = false,
}: {
  status: Status;
  /** Cancellation of the running task was requested. */
  cancelling?: boolean;
}): ReactElement {
  const t = useWords(shared);
  const Icon = ICONS[status];
  return (
    <span className={`status ${status}`}>
      <Icon size={14} aria-hidden />
      {status === "running" && cancelling ? t.cancelling : t[status]}
    </span>
  );
}
