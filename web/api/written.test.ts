import { describe, expect, test } from "bun:test";
import { parseAnswer } from "./written.ts";

const PAYLOAD = '{"id":3889108265204450030, "10":1e999,"2":"}"}';

describe("an answer", () => {
  test("with a task has the texts of payload and result as they were sent", () => {
    const text = `{"id":7,"version":3,"name":"\\"payload\\":1","payload":${PAYLOAD},"result": -0.10 }`;
    expect(parseAnswer(text)).toMatchObject({
      id: 7,
      payloadText: PAYLOAD,
      resultText: "-0.10",
      readVersion: 3,
    });
  });

  test("with a list of tasks has these texts for each task", () => {
    const text = `[{"payload":${PAYLOAD},"result":null},{"payload":null,"result":[1.0]}]`;
    expect(parseAnswer(text)).toMatchObject([
      { payloadText: PAYLOAD, resultText: null },
      { payloadText: null, resultText: "[1.0]" },
    ]);
  });

  test.each(["[]", "null", "7", '[{"id":7}]', '{"status":"ready"}', '{"payload":1}', "[[1],2]"])(
    "%s is what JSON.parse makes of it",
    (text) => {
      expect(parseAnswer(text)).toEqual(JSON.parse(text));
    },
  );
});
