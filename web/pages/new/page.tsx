/** The form for a new task. The server validates the values; its errors appear at the fields. */
import { useMutation } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { type FormEvent, type ReactElement, useEffect, useState } from "react";
import { bodyOf } from "../../../src/client/body.ts";
import { client } from "../../api/client.ts";
import { useRefresh, useTask } from "../../api/queries.ts";
import type { WrittenTask } from "../../api/written.ts";
import { useTitle } from "../../app/title.ts";
import { isShownAtFields, useFaults } from "../../form/faults.ts";
import { JsonEditor } from "../../form/json-editor.tsx";
import { optionalJsonFault } from "../../form/json-text.ts";
import { submitByKeys } from "../../form/submit-by-keys.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { Button } from "../../ui/button.tsx";
import { CurlLine, curlOf, LONGEST_CURL } from "../../ui/copy.tsx";
import { TagInput, TextArea, TextField } from "../../ui/fields.tsx";
import { ErrorState, Skeleton } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";
import { dropDraft, keepDraft, readDraft } from "./draft.ts";
import { EMPTY, type Form, formFromTask, specOf } from "./form.ts";
import { type FieldProps, OptionalFields } from "./optional.tsx";
import { useTypes } from "./types.ts";
import { words } from "./words.ts";

const route = getRouteApi("/new");

export function NewTaskPage(): ReactElement {
  const common = useWords(shared);
  const { from = "" } = route.useSearch();
  useTitle(common.newTask);
  return (
    <>
      <div className="page-head">
        <h1>{common.newTask}</h1>
      </div>
      {from === "" ? (
        <NewTask key="" from="" source={null} />
      ) : (
        <DuplicateTask key={from} id={Number(from)} />
      )}
    </>
  );
}

/** The form with the fields of another task, once that task is loaded. */
function DuplicateTask({ id }: { id: number }): ReactElement {
  const t = useWords(words);
  const { data, error, isPending } = useTask(id);
  if (isPending) {
    return (
      <div className="card">
        <Skeleton rows={8} />
      </div>
    );
  }
  const from = String(id);
  return (
    <>
      <p className="new-note muted" role="status">
        {data === undefined ? t.sourceMissing(id) : t.copiedFrom(id)}
      </p>
      {data === undefined && <ErrorState error={error} />}
      <NewTask from={from} source={data ?? null} />
    </>
  );
}

/** The fields that show their own faults. */
const SHOWN = [
  ...["name", "description", "type", "payload", "tags", "labels", "priority", "delay", "run_at", "timeout"],
  ...["max_attempts", "backoff", "key"],
];

function NewTask({ from, source }: { from: string; source: WrittenTask | null }): ReactElement {
  const common = useWords(shared);
  const t = useWords(words);
  const initial = source === null ? EMPTY : formFromTask(source);
  const [form, setForm] = useState(() => readDraft(from) ?? initial);
  const creation = useCreation();
  const faults = useFaults(creation.error);
  const change = (next: Form): void => {
    setForm(next);
    keepDraft(from, next);
  };
  const clear = (): void => {
    setForm(initial);
    dropDraft();
    creation.reset();
  };
  const canSend = optionalJsonFault(form.payload) === null && !creation.isPending;
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (canSend) creation.mutate(form);
  };
  return (
    <form className="card new-form" onSubmit={submit} onKeyDown={submitByKeys} noValidate>
      <MainFields form={form} onChange={change} faults={faults} />
      <OptionalFields form={form} onChange={change} faults={faults} />
      {creation.isError && !isShownAtFields(creation.error, SHOWN) && <ErrorState error={creation.error} />}
      <div className="new-foot">
        <Button look="primary" type="submit" busy={creation.isPending} disabled={!canSend}>
          {common.create}
        </Button>
        <kbd className="new-keys">{t.sendHint}</kbd>
        <span className="new-space" />
        <Button look="quiet" onClick={clear}>
          {t.clear}
        </Button>
      </div>
      <Curl form={form} />
    </form>
  );
}

function useCreation() {
  const t = useWords(words);
  const navigate = useNavigate();
  const refresh = useRefresh();
  const creation = useMutation({
    mutationFn: (form: Form) => client.create(specOf(form)),
    onSuccess: ({ id, existing }) => {
      dropDraft();
      if (existing) toast({ title: t.existing });
      return Promise.all([refresh(), navigate({ to: "/tasks/$id", params: { id: String(id) } })]);
    },
  });
  useFocusOnFault(creation.error);
  return creation;
}

/** After a rejected request, focuses the first field with an error, so that keyboard users can correct it. */
function useFocusOnFault(error: unknown): void {
  useEffect(() => {
    if (error === null) return;
    document.querySelector<HTMLElement>(".new-form [aria-invalid=true]:is(input, textarea)")?.focus();
  }, [error]);
}

function MainFields({ form, onChange, faults }: FieldProps): ReactElement {
  const common = useWords(shared);
  const t = useWords(words);
  const { types, isTaken, tags } = useTypes();
  const type = form.type.trim();
  return (
    <>
      <TextField
        label={common.name}
        value={form.name}
        onChange={(name) => onChange({ ...form, name })}
        error={faults("name")}
        placeholder={t.namePlaceholder}
        autoComplete="off"
        aria-required
        dir="auto"
      />
      <TextArea
        label={common.description}
        value={form.description}
        onChange={(description) => onChange({ ...form, description })}
        error={faults("description")}
        rows={2}
        dir="auto"
      />
      <TextField
        label={common.type}
        value={form.type}
        onChange={(next) => onChange({ ...form, type: next })}
        error={faults("type")}
        hint={type === "" || isTaken(type) ? t.typeHint : t.typeUnknown(type)}
        placeholder="simulate"
        list="new-types"
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
      />
      <datalist id="new-types">
        {types.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
      <JsonEditor
        label={common.payload}
        hint={t.payloadHint}
        value={form.payload}
        onChange={(payload) => onChange({ ...form, payload })}
        error={faults("payload")}
      />
      <TagInput
        label={common.tags}
        tags={form.tags}
        onChange={(next) => onChange({ ...form, tags: next })}
        suggestions={tags}
        error={faults("tags")}
      />
      <TagInput
        label={common.labels}
        tags={form.labels}
        hasCommas
        placeholder={common.addLabel}
        onChange={(labels) => onChange({ ...form, labels })}
        error={faults("labels")}
      />
    </>
  );
}

function Curl({ form }: { form: Form }): ReactElement | null {
  const t = useWords(words);
  if (optionalJsonFault(form.payload) !== null) return null;
  const command = curlOf("POST", "/api/task", bodyOf(specOf(form)));
  return command.length > LONGEST_CURL ? (
    <p className="muted new-note">{t.curlTooLong}</p>
  ) : (
    <CurlLine command={command} />
  );
}
