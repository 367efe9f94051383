import { useQuery } from "@tanstack/react-query";
import { Ban, type LucideIcon, RotateCw, Trash2, X } from "lucide-react";
import { type ReactElement, useRef, useState } from "react";
import type { TaskState } from "../../../src/client/client.ts";
import { useRefresh } from "../../api/queries.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { Button, IconButton } from "../../ui/button.tsx";
import { ConfirmDialog } from "../../ui/dialog.tsx";
import { ErrorState } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";
import { ACTIONS, type Action, actOnFilter, actOnRows, allows, type Outcome, preview } from "./bulk.ts";
import { isFiltered, type TasksSearch } from "./search.ts";
import { NOTHING, type Selection } from "./selection.ts";
import { words } from "./words.ts";

const ICONS: Readonly<Record<Action, LucideIcon>> = { cancel: Ban, retry: RotateCw, delete: Trash2 };

type BulkProps = {
  readonly search: TasksSearch;
  readonly tasks: readonly TaskState[];
  readonly selection: Selection;
  readonly onSelect: (next: Selection) => void;
};

/** Covers the bottom of the page, so that nothing moves when the first row is selected. */
export function BulkBar(props: BulkProps): ReactElement | null {
  const { selection, onSelect } = props;
  const t = useWords(words);
  const common = useWords(shared);
  const [action, setAction] = useState<Action | null>(null);
  if (!selection.isAll && selection.ids.size === 0) return null;
  return (
    <section className="bulk-bar" aria-label={t.bulk}>
      <span role="status" className="bulk-count">
        {selection.isAll ? t.allSelected : t.selected(selection.ids.size)}
      </span>
      {!selection.isAll && (
        <Button look="quiet" onClick={() => onSelect({ ...NOTHING, isAll: true })}>
          {t.selectAll}
        </Button>
      )}
      <span className="bulk-actions">
        {ACTIONS.map((one) => (
          <Button
            key={one}
            icon={ICONS[one]}
            look={one === "delete" ? "danger" : "plain"}
            onClick={() => setAction(one)}
          >
            {common[one]}
          </Button>
        ))}
        <IconButton icon={X} label={t.clearSelection} onClick={() => onSelect(NOTHING)} />
      </span>
      {action !== null && <Confirmation {...props} action={action} onClose={() => setAction(null)} />}
    </section>
  );
}

/** The number of affected tasks, the number of these whose status does not allow the action, and the highest affected id. */
type Extent = { readonly count: number; readonly refusing: number; readonly upToId: number };

/** For selected rows computed from the rows; for a filter counted by the server, once per confirmation. */
function useExtent(props: BulkProps & { readonly action: Action }) {
  const { action, search, selection, tasks } = props;
  const [asked] = useState(() => performance.now());
  const query = useQuery({
    enabled: selection.isAll,
    queryKey: ["bulk-preview", action, search, asked],
    queryFn: ({ signal }) => preview(action, search, signal),
    staleTime: "static",
    gcTime: 0,
  });
  const refusing = tasks.filter(({ id, status }) => selection.ids.has(id) && !allows(action, status)).length;
  const extent: Extent | null = selection.isAll
    ? query.data === undefined
      ? null
      : { count: query.data.count, refusing: 0, upToId: query.data.up_to_id }
    : { count: selection.ids.size, refusing, upToId: 0 };
  return { extent, error: query.error, recount: () => void query.refetch() };
}

function Confirmation(props: BulkProps & { action: Action; onClose: () => void }): ReactElement {
  const { action, search, selection, onClose } = props;
  const t = useWords(words);
  const common = useWords(shared);
  const { extent, error, recount } = useExtent(props);
  const work = useWork(props);

  const confirm = (): void => {
    if (extent !== null && extent.count > extent.refusing) work.start(extent);
  };
  const close = (): void => {
    if (work.done === null) onClose();
    else work.stop();
  };
  return (
    <ConfirmDialog
      open
      onClose={close}
      title={extent === null ? t.countingTitle : t[`question_${action}`](extent.count)}
      action={t[`do_${action}`](extent?.count ?? 0)}
      back={work.done === null ? common.back : t.stop}
      danger={action === "delete"}
      busy={work.done !== null || extent === null || extent.count === extent.refusing}
      onConfirm={confirm}
    >
      <div className="bulk-question">
        {error !== null && <ErrorState error={error} onRetry={recount} />}
        {work.error !== null && <ErrorState error={work.error} />}
        <p>{t[`effect_${action}`]}</p>
        {selection.isAll && (
          <p className="muted">
            {extent === null && error === null
              ? t.counting
              : !isFiltered(search)
                ? `${t.everyTask} ${t.upTo}`
                : t.upTo}
          </p>
        )}
        {extent !== null && extent.refusing > 0 && (
          <p className="muted">
            {extent.refusing === extent.count ? t.noneAllowed : t.someAllowed(extent.refusing)}
          </p>
        )}
        <p className="bulk-progress" role="status">
          {work.done !== null && extent !== null && (
            <>
              <progress
                className="progress-bar"
                max={extent.count}
                value={work.done}
                aria-label={t.progressOf(work.done, extent.count)}
              />
              {t.progressOf(work.done, extent.count)}
            </>
          )}
        </p>
      </div>
    </ConfirmDialog>
  );
}

/** Runs the action and reports the result as a toast. */
function useWork({
  action,
  search,
  selection,
  onSelect,
  onClose,
}: BulkProps & { action: Action; onClose: () => void }) {
  const t = useWords(words);
  const refresh = useRefresh();
  const [done, setDone] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const stopper = useRef(new AbortController());

  const report = ({ count, refused, isStopped }: Outcome): void => {
    const rest = [refused > 0 ? t.refused(refused) : "", isStopped ? t.stopped : ""].filter(
      (text) => text !== "",
    );
    toast({ title: t[`report_${action}`](count), ...(rest.length === 0 ? {} : { text: rest.join(". ") }) });
  };
  const run = async ({ upToId }: Extent): Promise<void> => {
    const how = { signal: stopper.current.signal, onDone: setDone };
    setDone(0);
    setError(null);
    const outcome = selection.isAll
      ? await actOnFilter(action, search, upToId, how)
      : await actOnRows(action, [...selection.ids], how);
    if (outcome.fault === null || outcome.count + outcome.refused > 0) report(outcome);
    if (outcome.fault === null) {
      onSelect(NOTHING);
      onClose();
    } else {
      setError(outcome.fault);
      setDone(null);
    }
    await refresh();
  };
  return { done, error, start: (extent: Extent) => void run(extent), stop: () => stopper.current.abort() };
}
