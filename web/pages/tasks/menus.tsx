/** The menus above the table: display options and saved views. */
import { Menu as Base } from "@base-ui/react/menu";
import { getRouteApi } from "@tanstack/react-router";
import { Bookmark, Check, Columns3, Plus, Trash2 } from "lucide-react";
import { type FormEvent, type ReactElement, useId, useState } from "react";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { TextField } from "../../ui/fields.tsx";
import { Menu } from "../../ui/menu.tsx";
import { ALWAYS, COLUMNS, showColumn, showExactTimes, useColumns, useExactTimes } from "./columns.ts";
import { useColumnLabel } from "./head.tsx";
import { isFiltered, type TasksSearch } from "./search.ts";
import { deleteView, isSame, saveView, useViews, type View } from "./views.ts";
import { words } from "./words.ts";

const route = getRouteApi("/tasks");

/** Stays open while the user selects columns. */
export function DisplayMenu(): ReactElement {
  const t = useWords(words);
  const columns = useColumns();
  const exact = useExactTimes();
  const labelOf = useColumnLabel();
  return (
    <Base.Root>
      <Base.Trigger render={<Button icon={Columns3}>{t.display}</Button>} />
      <Base.Portal>
        <Base.Positioner className="menu-place" align="end" sideOffset={4}>
          <Base.Popup className="menu">
            <Toggle label={t.exactTimes} isOn={exact} onChange={showExactTimes} />
            <Base.Separator className="tasks-menu-line" />
            <Base.Group>
              <Base.GroupLabel className="tasks-menu-label">{t.columns}</Base.GroupLabel>
              {COLUMNS.filter(({ id }) => id !== ALWAYS).map(({ id }) => (
                <Toggle
                  key={id}
                  label={labelOf(id)}
                  isOn={columns.includes(id)}
                  onChange={(isOn) => showColumn(id, isOn)}
                />
              ))}
            </Base.Group>
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}

function Toggle(props: { label: string; isOn: boolean; onChange: (isOn: boolean) => void }): ReactElement {
  const { label, isOn, onChange } = props;
  return (
    <Base.CheckboxItem className="menu-item" checked={isOn} onCheckedChange={onChange}>
      <span className="tasks-menu-check">{isOn && <Check size={16} aria-hidden />}</span>
      {label}
    </Base.CheckboxItem>
  );
}

// ---- views

const VIEW_NAME_LENGTH = 60;

export function ViewsMenu({ search }: { search: TasksSearch }): ReactElement {
  const t = useWords(words);
  const own = useViews();
  const navigate = route.useNavigate();
  const [isSaving, setIsSaving] = useState(false);
  const builtIn: readonly View[] = [
    { name: t.running, search: { status: ["running"] } },
    { name: t.failedLately, search: { status: ["failed"], sort: "-finished_at" } },
    { name: t.waiting, search: { status: ["pending"], sort: "id" } },
  ];
  const all = [...builtIn, ...own];
  const shown = all.find((view) => isSame(view.search, search));
  const isOwn = shown !== undefined && own.includes(shown);
  const open = (view: View): void => void navigate({ search: view.search });
  return (
    <>
      <Menu
        trigger={
          <Button icon={Bookmark}>
            <bdi className="tasks-view-name">{shown?.name ?? t.views}</bdi>
          </Button>
        }
        items={[
          ...all.map((view) => ({ label: view.name, onSelect: () => open(view) })),
          {
            ...{ label: t.saveView, icon: Plus, onSelect: () => setIsSaving(true) },
            disabled: shown !== undefined || (!isFiltered(search) && search.sort === undefined),
          },
          ...(isOwn
            ? [
                {
                  label: t.deleteView(shown.name),
                  icon: Trash2,
                  danger: true,
                  onSelect: () => deleteView(shown.name),
                },
              ]
            : []),
        ]}
      />
      <SaveDialog
        key={String(isSaving)}
        open={isSaving}
        onClose={() => setIsSaving(false)}
        search={search}
        taken={builtIn.map(({ name }) => name)}
      />
    </>
  );
}

function SaveDialog(props: {
  open: boolean;
  onClose: () => void;
  search: TasksSearch;
  taken: readonly string[];
}): ReactElement {
  const { open, onClose, search, taken } = props;
  const t = useWords(words);
  const common = useWords(shared);
  const form = useId();
  const [text, setText] = useState("");
  const name = text.trim();
  const isTaken = taken.includes(name);
  const save = (event: FormEvent): void => {
    event.preventDefault();
    if (name === "" || isTaken) return;
    saveView({ name, search });
    onClose();
  };
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={t.saveViewTitle}
      actions={
        <Button look="primary" type="submit" form={form} disabled={name === "" || isTaken}>
          {common.save}
        </Button>
      }
    >
      <form id={form} onSubmit={save}>
        <TextField
          label={t.viewName}
          value={text}
          onChange={setText}
          maxLength={VIEW_NAME_LENGTH}
          autoComplete="off"
          hint={t.viewHint}
          error={isTaken ? t.viewTaken : null}
        />
      </form>
    </Dialog>
  );
}
