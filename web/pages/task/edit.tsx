/** Edits a task, if its version has not changed since the form was opened. On a conflict the user decides. */
import { useMutation } from "@tanstack/react-query";
import { TriangleAlert } from "lucide-react";
import { type FormEvent, type ReactElement, useId, useState } from "react";
import type { TaskPatch } from "../../../src/client/client.ts";
import { TaskTrackError } from "../../../src/client/error.ts";
import { compacted, indented } from "../../../src/core/json-text.ts";
import { labelsFrom, labelTexts } from "../../../src/core/task.ts";
import { client } from "../../api/client.ts";
import { useRefresh } from "../../api/queries.ts";
import type { WrittenTask } from "../../api/written.ts";
import { isShownAtFields, useFaults } from "../../form/faults.ts";
import { JsonEditor } from "../../form/json-editor.tsx";
import { isBlank, optionalJsonFault } from "../../form/json-text.ts";
import { fromLocalInput, numberOrText, toLocalInput } from "../../form/local-time.ts";
import { submitByKeys } from "../../form/submit-by-keys.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { TagInput, TextArea, TextField } from "../../ui/fields.tsx";
import { ErrorState } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";
import { words } from "./words.ts";

/** The values of the fields. */
type Form = {
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  /** Each as `name:value`. */
  readonly labels: readonly string[];
  readonly payload: string;
  readonly priority: string;
  readonly run_at: string;
  readonly timeout: string;
  readonly max_attempts: string;
};

const formOf = (task: WrittenTask): Form => ({
  name: task.name,
  description: task.description,
  tags: task.tags,
  labels: labelTexts(task.labels),
  payload: task.payloadText === null ? "" : indented(task.payloadText),
  priority: String(task.priority),
  run_at: toLocalInput(task.run_at),
  timeout: task.timeout ?? "",
  max_attempts: String(task.max_attempts),
});

const FIELDS = [
  "name",
  "description",
  "tags",
  "labels",
  "payload",
  "priority",
  "run_at",
  "timeout",
  "max_attempts",
] as const;
type Field = (typeof FIELDS)[number];

const differing = (one: Form, other: Form): readonly Field[] =>
  FIELDS.filter((field) => JSON.stringify(one[field]) !== JSON.stringify(other[field]));

/** A member of the patch. The payload keeps its digits and loses the white space that was added for display. */
function patchMember(form: Form, field: Field): readonly [keyof TaskPatch, unknown] {
  if (field !== "payload") return [field, fieldValue(form, field)];
  return isBlank(form.payload) ? ["payload", null] : ["payloadText", compacted(form.payload)];
}

function fieldValue(form: Form, field: Exclude<Field, "payload">): unknown {
  switch (field) {
    case "priority":
    case "max_attempts":
      return numberOrText(form[field]);
    case "run_at":
      return fromLocalInput(form.run_at);
    case "labels":
      return labelsFrom(form.labels);
    case "timeout":
      return form.timeout.trim() === "" ? null : form.timeout.trim();
    default:
      return form[field];
  }
}

/** A patch with the changed fields only. Invalid values are sent unchanged, so that the server rejects them with an error for the field. */
const patchOf = (form: Form, fields: readonly Field[]): TaskPatch =>
  Object.fromEntries(fields.map((field) => patchMember(form, field))) as TaskPatch;

export function EditDialog({ task, onClose }: { task: WrittenTask; onClose: () => void }): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const formId = useId();
  const [base, setBase] = useState(task);
  const [form, setForm] = useState(() => formOf(task));
  const refresh = useRefresh();
  const save = useMutation({
    mutationFn: (ifVersion: number) =>
      client.edit(task.id, patchOf(form, differing(formOf(base), form)), { ifVersion }),
    onSuccess: () => {
      toast({ title: t.saved });
      onClose();
      return refresh();
    },
    onError: (error) => {
      if (isConflict(error)) void refresh();
    },
  });
  const changed = differing(formOf(base), form);
  const canSave = changed.length > 0 && optionalJsonFault(form.payload) === null && !save.isPending;
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (canSave) save.mutate(base.readVersion);
  };
  const discardChanges = (): void => {
    setBase(task);
    setForm(formOf(task));
    save.reset();
  };
  return (
    <Dialog
      open
      onClose={onClose}
      title={t.editTitle}
      actions={
        <>
          <Button onClick={onClose}>{common.back}</Button>
          <Button look="primary" type="submit" form={formId} busy={save.isPending} disabled={!canSave}>
            {common.save}
          </Button>
        </>
      }
    >
      <form id={formId} className="task-edit" onSubmit={submit} onKeyDown={submitByKeys} noValidate>
        {isConflict(save.error) && (
          <Conflict
            fields={differing(formOf(base), formOf(task))}
            onDiscard={discardChanges}
            onOverwrite={() => save.mutate(task.readVersion)}
          />
        )}
        <Fields form={form} onChange={setForm} isPending={task.status === "pending"} error={save.error} />
        {save.error !== null && !isConflict(save.error) && !isShownAtFields(save.error, FIELDS) && (
          <ErrorState error={save.error} />
        )}
      </form>
    </Dialog>
  );
}

const isConflict = (error: unknown): boolean =>
  error instanceof TaskTrackError && error.code === "version_mismatch";

/** The task was changed meanwhile: lists the changed fields and offers to overwrite or to discard. */
function Conflict(props: {
  readonly fields: readonly Field[];
  readonly onDiscard: () => void;
  readonly onOverwrite: () => void;
}): ReactElement {
  const t = useWords(words);
  const labels = useLabels();
  return (
    <div className="task-conflict" role="alert">
      <TriangleAlert size={16} aria-hidden />
      <div>
        <p>{t.conflict}</p>
        {props.fields.length > 0 && (
          <p>{t.conflictFields(props.fields.map((field) => labels[field]).join(", "))}</p>
        )}
        <div className="task-conflict-ways">
          <Button onClick={props.onOverwrite}>{t.overwrite}</Button>
          <Button onClick={props.onDiscard}>{t.discard}</Button>
        </div>
      </div>
    </div>
  );
}

function useLabels(): Readonly<Record<Field, string>> {
  const common = useWords(shared);
  return {
    ...{ name: common.name, description: common.description, tags: common.tags, labels: common.labels },
    ...{ payload: common.payload },
    ...{
      priority: common.priority,
      run_at: common.scheduledStart,
      timeout: common.timeout,
      max_attempts: common.maxAttempts,
    },
  };
}

type FieldsProps = {
  readonly form: Form;
  readonly onChange: (form: Form) => void;
  readonly isPending: boolean;
  readonly error: unknown;
};

function Fields({ form, onChange, isPending, error }: FieldsProps): ReactElement {
  const t = useWords(words);
  const common = useWords(shared);
  const label = useLabels();
  const faults = useFaults(error);
  const of = <F extends Exclude<Field, "tags" | "labels">>(field: F) => ({
    label: label[field],
    value: form[field],
    error: faults(field),
    onChange: (value: string) => onChange({ ...form, [field]: value }),
  });
  return (
    <>
      <TextField {...of("name")} autoComplete="off" dir="auto" />
      <TextArea {...of("description")} rows={3} dir="auto" />
      <TagInput
        label={label.tags}
        tags={form.tags}
        error={faults("tags")}
        onChange={(tags) => onChange({ ...form, tags })}
      />
      <TagInput
        label={label.labels}
        tags={form.labels}
        hasCommas
        placeholder={common.addLabel}
        error={faults("labels")}
        onChange={(labels) => onChange({ ...form, labels })}
      />
      {isPending ? (
        <>
          <JsonEditor {...of("payload")} />
          <div className="task-edit-row">
            <TextField {...of("priority")} inputMode="numeric" />
            <TextField {...of("max_attempts")} inputMode="numeric" />
          </div>
          <div className="task-edit-row">
            <TextField {...of("run_at")} type="datetime-local" step="1" hint={common.inYourTimeZone} />
            <TextField {...of("timeout")} hint={t.timeoutHint} autoComplete="off" />
          </div>
        </>
      ) : (
        <p className="muted task-none">{t.editOnlyPending}</p>
      )}
    </>
  );
}
