import { describe, expect, test } from "bun:test";
import { wireRunning, wireTask } from "../../../test/support/wire-tasks.ts";
import { createKnown } from "./live-table.ts";

const openKnown = () =>
  createKnown(
    () => 0,
    ({ type }) => type === "work",
  );
const idsOf = (known: ReturnType<typeof openKnown>): number[] => [...known.all()].map(({ task }) => task.id);

describe("what is known of the tasks", () => {
  test("is what events tell of those that are wanted", () => {
    const known = openKnown();
    known.see(wireTask({ id: 1 }));
    known.see(wireTask({ id: 2, type: "other" }));
    known.see(wireTask({ id: 3 }));
    known.lose(3);
    expect(idsOf(known)).toEqual([1]);
  });

  test("is forgotten where a look does not find it", () => {
    const known = openKnown();
    known.see(wireTask({ id: 1 }));
    known.beginLook()([wireTask({ id: 2 })]);
    expect(idsOf(known)).toEqual([2]);
  });

  test("is kept where an event told of it since the look began", () => {
    const known = openKnown();
    known.see(wireTask({ id: 1 }));
    known.see(wireTask({ id: 2 }));
    const found = known.beginLook();
    known.see(wireRunning({ id: 1 }));
    known.lose(2);
    found([wireTask({ id: 1 }), wireTask({ id: 2 })]);
    expect([...known.all()].map(({ task }) => [task.id, task.status])).toEqual([[1, "running"]]);
  });
});
