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
import { actOnFilter, actOnRows, allows, DEEDS, type Deed, type Outcome, preview } from "./bulk.ts";
import { isFiltered, type TasksSearch } from "./search.ts";
import { NOTHING, type Selection } from "./selection.ts";
import { words } from "./words.ts";

const ICONS: Readonly<Record<Deed, LucideIcon>> = { cancel: Ban, retry: RotateCw, delete: Trash2 };

type BulkProps = {
  readonly search: TasksSearch;
  readonly tasks: readonly TaskState[];
  readonly selection: Selection;
  readonly onSelect: (next: Selection) => void;
};

/** Lies over the foot of the page, so that nothing moves when the first row is selected. */
export function BulkBar(props: BulkProps): ReactElement | null {
  const { selection, onSelect } = props;
  const t = useWords(words);
  const common = useWords(shared);
  const [deed, setDeed] = useState<Deed | null>(null);
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
        {DEEDS.map((one) => (
          <Button
            key={one}
            icon={ICONS[one]}
            look={one === "delete" ? "danger" : "plain"}
            onClick={() => setDeed(one)}
          >
            {common[one]}
          </Button>
        ))}
        <IconButton icon={X} label={t.clearSelection} onClick={() => onSelect(NOTHING)} />
      </span>
      {deed !== null && <Confirmation {...props} deed={deed} onClose={() => setDeed(null)} />}
    </section>
  );
}

/** How many tasks a deed is about, how many of them are known to refuse it, and up to which id they reach. */
type Extent = { readonly count: number; readonly refusing: number; readonly upToId: number };

/** Of rows as they are shown; of a filter as the server counts, once for each question. */
function useExtent(props: BulkProps & { readonly deed: Deed }) {
  const { deed, search, selection, tasks } = props;
  const [asked] = useState(() => performance.now());
  const query = useQuery({
    enabled: selection.isAll,
    queryKey: ["bulk-preview", deed, search, asked],
    queryFn: ({ signal }) => preview(deed, search, signal),
    staleTime: "static",
    gcTime: 0,
  });
  const refusing = tasks.filter(({ id, status }) => selection.ids.has(id) && !allows(deed, status)).length;
  const extent: Extent | null = selection.isAll
    ? query.data === undefined
      ? null
      : { count: query.data.count, refusing: 0, upToId: query.data.up_to_id }
    : { count: selection.ids.size, refusing, upToId: 0 };
  return { extent, error: query.error, recount: () => void query.refetch() };
}

function Confirmation(props: BulkProps & { deed: Deed; onClose: () => void }): ReactElement {
  const { deed, search, selection, onClose } = props;
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
      title={extent === null ? t.countingTitle : t[`ask_${deed}`](extent.count)}
      action={t[`do_${deed}`](extent?.count ?? 0)}
      back={work.done === null ? common.back : t.stop}
      danger={deed === "delete"}
      busy={work.done !== null || extent === null || extent.count === extent.refusing}
      onConfirm={confirm}
    >
      <div className="bulk-question">
        {error !== null && <ErrorState error={error} onRetry={recount} />}
        {work.error !== null && <ErrorState error={work.error} />}
        <p>{t[`what_${deed}`]}</p>
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

/** Does it, and says what came of it. */
function useWork({
  deed,
  search,
  selection,
  onSelect,
  onClose,
}: BulkProps & { deed: Deed; onClose: () => void }) {
  const t = useWords(words);
  const refresh = useRefresh();
  const [done, setDone] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const stopper = useRef(new AbortController());

  const tell = ({ count, refused, isStopped }: Outcome): void => {
    const rest = [refused > 0 ? t.refused(refused) : "", isStopped ? t.stopped : ""].filter(
      (text) => text !== "",
    );
    toast({ title: t[`told_${deed}`](count), ...(rest.length === 0 ? {} : { text: rest.join(". ") }) });
  };
  const run = async ({ upToId }: Extent): Promise<void> => {
    const how = { signal: stopper.current.signal, onDone: setDone };
    setDone(0);
    setError(null);
    const outcome = selection.isAll
      ? await actOnFilter(deed, search, upToId, how)
      : await actOnRows(deed, [...selection.ids], how);
    if (outcome.fault === null || outcome.count + outcome.refused > 0) tell(outcome);
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
