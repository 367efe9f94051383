import { describe, expect, test } from "bun:test";
import { type HandlerTask, readVerdict } from "../processor/handler.ts";
import { fillIn, parseTemplate } from "./argv.ts";

const task = (payload: unknown): HandlerTask => ({
  ...{
    id: 7,
    name: "a name",
    description: "",
    type: "work.it",
    tags: [],
    labels: {},
    attempt: 2,
    losses: 0,
    createdAt: 0,
  },
  payload,
  payloadText: JSON.stringify(payload),
});

const fill = (argument: string, payload: unknown = null, allowDashes = false): string =>
  fillIn(parseTemplate(argument), task(payload), allowDashes);

/** The failure of the task when the argument cannot be filled in. */
function refusal(argument: string, payload: unknown): unknown {
  try {
    return fill(argument, payload);
  } catch (thrown) {
    return readVerdict(thrown) ?? thrown;
  }
}

const badPayload = (message: string) => ({
  ...{ kind: "failed", retryable: false, retryAfterMs: null },
  error: { code: "bad_payload", message },
});

describe("a placeholder in an argument", () => {
  test.each([
    ["{payload.id}", "3889108265204450030"],
    ["{payload.list.1}", "1e999"],
    ["{payload.last}", '{"2":1, "1":-0.0}'],
    ["{payload.list}", "[0.10,1e999 ]"],
    ["{payload.text}", "t"],
  ])("is replaced by the text that was sent: %s becomes %s", (argument, filled) => {
    const payloadText =
      '{"id":3889108265204450030,"list":[0.10,1e999 ],"last":0,"l\\u0061st":{"2":1, "1":-0.0},"text":"t"}';
    const sent = { ...task(null), payload: JSON.parse(payloadText), payloadText };
    expect(fillIn(parseTemplate(argument), sent, false)).toBe(filled);
  });

  test("is replaced by the payload that a handler passes on instead of the task's own", () => {
    const other = { ...task({ id: 1 }), payload: { id: 2 } };
    expect(fillIn(parseTemplate("{payload.id}"), other, false)).toBe("2");
  });

  test.each([
    ["no placeholder", null, "no placeholder"],
    ["{id} {name} {type} {attempt}", null, "7 a name work.it 2"],
    ["{payload.a}", { a: "text" }, "text"],
    ["{payload.a.b.c}", { a: { b: { c: "deep" } } }, "deep"],
    ["{payload.list.1}", { list: ["zero", "one"] }, "one"],
    ["{payload.0.x}", [{ x: "in a list" }], "in a list"],
    ["--size={payload.w}x{payload.h}", { w: 640, h: 480.5 }, "--size=640x480.5"],
    ["{payload.yes}{payload.no}", { yes: true, no: false }, "truefalse"],
    ["{payload.o}", { o: { a: [1, "2", null] } }, '{"a":[1,"2",null]}'],
    ["{payload}", { a: 1 }, '{"a":1}'],
    ["{payload}", "all of it", "all of it"],
    ["{payload.empty}", { empty: "" }, ""],
    ["{{{payload.a}}} {{}}", { a: "x" }, "{x} {}"],
    ["{payload.a b-c}", { "a b-c": "any key" }, "any key"],
    ["{payload.a}", { a: "{payload.b} $(rm) `x` ; \n'\"" }, "{payload.b} $(rm) `x` ; \n'\""],
  ])("%j with %j becomes %j", (argument, payload, filled) => {
    expect(fill(argument, payload)).toBe(filled);
  });

  test.each([
    ["{payload.a}", {}, "{payload.a} is missing"],
    ["{payload.a}", { a: null }, "{payload.a} is missing"],
    ["{payload.a.b}", { a: "text" }, "{payload.a.b} is missing"],
    ["{payload.a.0}", { a: "text" }, "{payload.a.0} is missing"],
    ["{payload.a}", null, "{payload.a} is missing"],
    ["{payload}", null, "{payload} is missing"],
    ["{payload.list.2}", { list: [0, 1] }, "{payload.list.2} is missing"],
    ["{payload.list.length}", { list: [0, 1] }, "{payload.list.length} is missing"],
    ["{payload.__proto__}", {}, "{payload.__proto__} is missing"],
    ["{payload.constructor.name}", {}, "{payload.constructor.name} is missing"],
    ["{payload.toString}", [], "{payload.toString} is missing"],
    ["x{payload.a}", { a: "nul \0" }, "{payload.a} contains the character NUL"],
  ])("%j with %j fails the task for good", (argument, payload, message) => {
    expect(refusal(argument, payload)).toEqual(badPayload(message));
  });

  test("reads a member of the payload that is called __proto__", () => {
    expect(fill("{payload.__proto__}", JSON.parse('{"__proto__":"own"}'))).toBe("own");
  });
});

describe("a value that begins with a dash", () => {
  test.each([
    ["{payload.a}", { a: "-rf" }, '{payload.a} would become an option: "-rf" begins with "-"'],
    ["{payload.a}.txt", { a: -1 }, '{payload.a} would become an option: "-1.txt" begins with "-"'],
    [
      "{payload.a}{payload.b}",
      { a: "", b: "-x" },
      '{payload.a} would become an option: "-x" begins with "-"',
    ],
    ["{payload.a}-out.txt", { a: "" }, '{payload.a} would become an option: "-out.txt" begins with "-"'],
  ])("is refused at the start of an argument: %j with %j", (argument, payload, message) => {
    expect(refusal(argument, payload)).toEqual(badPayload(message));
  });

  test.each([
    ["--level={payload.a}", "-5", "--level=-5"],
    ["-{payload.a}", "v", "-v"],
    ["./{payload.a}", "-rf", "./-rf"],
  ])("is accepted behind %j", (argument, a, filled) => {
    expect(fill(argument, { a })).toBe(filled);
  });

  test("is accepted with allowDashes", () => {
    expect(fill("{payload.a}", { a: "-v" }, true)).toBe("-v");
  });
});

describe("a template is refused", () => {
  test.each([
    "{unknown}",
    "{payloads.a}",
    "{}",
    "{payload.}",
    "{payload..a}",
    "{payload.a.}",
    "{id.x}",
    "{name.length}",
    "{",
    "}",
    "{payload.a",
    "payload.a}",
    '{"json":1}',
    "{ id }",
  ])("of the form %j", (argument) => {
    expect(() => parseTemplate(argument)).toThrow(TypeError);
  });
});
