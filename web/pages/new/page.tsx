import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, type ReactElement, useState } from "react";
import { client } from "../../api/client.ts";
import { useRefresh } from "../../api/queries.ts";
import { useTitle } from "../../app/title.ts";
import { useWords } from "../../i18n/language.ts";
import { shared } from "../../i18n/shared.ts";
import { Button } from "../../ui/button.tsx";
import { TagInput, TextArea, TextField } from "../../ui/fields.tsx";
import { ErrorState } from "../../ui/states.tsx";

export function NewTaskPage(): ReactElement {
  const t = useWords(shared);
  const navigate = useNavigate();
  const refresh = useRefresh();
  useTitle(t.newTask);
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [tags, setTags] = useState<readonly string[]>([]);
  const creation = useMutation({
    mutationFn: () => client.create({ name, description, tags }),
    onSuccess: async ({ id }) => {
      await Promise.all([refresh(), navigate({ to: "/tasks/$id", params: { id: String(id) } })]);
    },
  });
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    creation.mutate();
  };
  return (
    <>
      <div className="page-head">
        <h1>{t.newTask}</h1>
      </div>
      <form className="card new-form" onSubmit={submit}>
        <TextField label={t.name} value={name} onChange={setName} required />
        <TextArea label={t.description} value={description} onChange={setDescription} />
        <TagInput label={t.tags} tags={tags} onChange={setTags} />
        {creation.isError && <ErrorState error={creation.error} />}
        <div>
          <Button look="primary" type="submit" busy={creation.isPending}>
            {t.create}
          </Button>
        </div>
      </form>
    </>
  );
}
