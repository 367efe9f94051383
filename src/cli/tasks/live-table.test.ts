import { describe, expect, test } from "bun:test";
import { wireRunning, wireTask } from "../../../test/support/wire-tasks.ts";
import { createKnown } from "./live-table.ts";

const openKnown = () =>
  createKnown(
    () => 0,
    ({ type }) => type === "work",
  );
const idsOf = (known: ReturnType<typeof openKnown>): number[] => [...known.all()].map(({ task }) => task.id);

describe("the known tasks", () => {
  test("are those of events that match the filter", () => {
    const known = openKnown();
    known.see(wireTask({ id: 1 }));
    known.see(wireTask({ id: 2, type: "other" }));
    known.see(wireTask({ id: 3 }));
    known.lose(3);
    expect(idsOf(known)).toEqual([1]);
  });

  test("are dropped if a read does not find them", () => {
    const known = openKnown();
    known.see(wireTask({ id: 1 }));
    known.beginLook()([wireTask({ id: 2 })]);
    expect(idsOf(known)).toEqual([2]);
  });

  test("are kept if an event came since the read began", () => {
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
