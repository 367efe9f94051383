import fc from "fast-check";

/**
 * JSON documents of any shape: numbers that a double cannot represent, keys that JavaScript would reorder, repeated keys, escapes,
 * text that looks like the end of a member, and white space anywhere. Never only `null`, which means no payload.
 */
const space = fc.constantFrom("", "", " ", "\n", "\t \r");
const number = fc.constantFrom(
  ...["0", "-0", "1.0", "1e2", "1E400", "-1e999", "5e-324", "0.1000"],
  ...["3889108265204450030", "123456789012345678901234567890", "9007199254740993"],
);
const string = fc.oneof(
  fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
  fc.constantFrom(
    '"\\u0000"',
    '"\\ud800"',
    '"\\\\"',
    '"\\""',
    '"{}[],:"',
    '"\\/"',
    '"\\u0041"',
    '"\u007f\u2028"',
  ),
  fc.constantFrom('"\\"payload\\":null"', '"\\"result\\":null"', '"$&$1$`"'),
);
const key = fc.constantFrom(
  ...[
    '"a"',
    '"b"',
    '"10"',
    '"2"',
    '"\\u0061"',
    '"__proto__"',
    '""',
    '"payload"',
    '"result"',
    '"p\\u0061yload"',
  ],
);

const { document } = fc.letrec<{ document: string; member: string }>((tie) => ({
  member: fc
    .tuple(space, key, space, fc.constant(":"), space, tie("document"), space)
    .map((parts) => parts.join("")),
  document: fc.oneof(
    { maxDepth: 3 },
    number,
    string,
    fc.constantFrom("true", "false", "null", "[ ]", "{\n}"),
    fc
      .array(fc.tuple(space, tie("document"), space), { maxLength: 4 })
      .map((elements) => `[${elements.map((parts) => parts.join("")).join()}]`),
    fc.array(tie("member"), { maxLength: 4 }).map((members) => `{${members.join()}}`),
  ),
}));

export const jsonTexts: fc.Arbitrary<string> = document.filter((text) => text !== "null");
