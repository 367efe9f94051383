import { indented } from "../../core/json-text.ts";
import { textOf } from "../answers.ts";
import { harmlessJson } from "../show/text.ts";

/** One JSON document, indented for people. */
export const jsonText = (value: object): string => `${harmlessJson(indented(textOf(value)))}\n`;

/** One JSON document on one line, for streams of them. */
export const jsonLine = (value: unknown): string => `${harmlessJson(JSON.stringify(value))}\n`;

export const linesText = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");
