/** The flags that choose tasks. */
import type { TaskFilter } from "../../client/types.ts";
import { STATUSES, type Status } from "../../core/task.ts";
import type { Flag, Given } from "../command.ts";

export const STATUS_FLAG: Flag = {
  name: "status",
  value: "STATUS",
  about: "only tasks of this status",
  isMany: true,
  choices: STATUSES,
};
export const TYPE_FLAG: Flag = {
  name: "type",
  value: "TYPE",
  about: "only tasks of this type; a prefix ends in *",
  isMany: true,
};

export const FILTER_FLAGS: readonly Flag[] = [
  STATUS_FLAG,
  TYPE_FLAG,
  { name: "tag", value: "TAG", about: "only tasks with this tag", isMany: true },
  { name: "label", value: "NAME:VALUE", about: "only tasks with this label", isMany: true },
  {
    name: "query",
    value: "WORDS",
    about: "only tasks with these words; payload.a.b:text searches one field",
  },
];

/** The parser has checked the choices. */
export const statusesOf = (given: Given): readonly Status[] => given.texts("status") as readonly Status[];

/** Empty without such a flag. */
export function filterOf(given: Given): TaskFilter {
  const [status, type, tag, label, q] = [
    statusesOf(given),
    given.texts("type"),
    given.texts("tag"),
    given.texts("label"),
    given.text("query"),
  ];
  return {
    ...(status.length === 0 ? {} : { status }),
    ...(type.length === 0 ? {} : { type }),
    ...(tag.length === 0 ? {} : { tag }),
    ...(label.length === 0 ? {} : { label }),
    ...(q === undefined ? {} : { q }),
  };
}
