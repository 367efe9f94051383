import { expect, test } from "bun:test";
import { openEngine } from "../../test/support/engine.ts";
import { isTaskError } from "../core/error.ts";
import type { Creation } from "../engine/producers.ts";
import { earlierFingerprintOf } from "./idempotency-key.ts";
import { submit } from "./submission.ts";

const KEY = { scope: "", key: "k" };
const body = (text: string) => ({ value: JSON.parse(text), text });

const refusalOf = (creating: Promise<Creation>): Promise<unknown> =>
  creating.then(
    () => "created",
    (error: unknown) => (isTaskError(error) ? error.code : error),
  );

test("a key that version 0.1 has stored returns its answer again, and refuses another body", async () => {
  const { engine } = openEngine();
  const text = '{"name":"x","payload":{"a":1,"b":2}}';
  const fingerprint = earlierFingerprintOf(text);
  const first = await engine.create([{ name: "x", payload: '{"a":1,"b":2}' }], { ...KEY, fingerprint });
  for (const same of [text, '{"payload":{"b":2,"a":1},"name":"x"}']) {
    expect(await submit(engine, body(same), KEY)).toEqual({ tasks: first.tasks, repeated: true });
  }
  expect(await refusalOf(submit(engine, body('{"name":"y"}'), KEY))).toBe("idempotency_mismatch");
});

test("a key of this version is bound to the text", async () => {
  const { engine } = openEngine();
  const text = '{"name":"x","payload":{"id":3889108265204450030,"b":2}}';
  const first = await submit(engine, body(text), KEY);
  expect(await submit(engine, body(text), KEY)).toEqual({ tasks: first.tasks, repeated: true });
  for (const other of [
    text.replace("030", "031"),
    '{"payload":{"b":2,"id":3889108265204450030},"name":"x"}',
  ]) {
    expect(await refusalOf(submit(engine, body(other), KEY))).toBe("idempotency_mismatch");
  }
});
