import { Check, Copy } from "lucide-react";
import { type ReactElement, useEffect, useState } from "react";
import type { JsonText } from "../../src/core/task.ts";
import { useWords } from "../i18n/language.ts";
import { shared } from "../i18n/shared.ts";
import { IconButton } from "./button.tsx";
import { toast } from "./toast.tsx";

const SHOWN_MS = 2_000;

/** A function if the text is expensive to produce. */
type Text = string | (() => string);

export function CopyButton({ text, label }: { text: Text; label?: string }): ReactElement {
  const t = useWords(shared);
  const [copied, setCopied] = useState(false);

  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);

  const copy = async (): Promise<void> => {
    if (await copyText(typeof text === "string" ? text : text())) setCopied(true);
    else toast({ title: t.copyFailed, look: "failed" });
  };
  return (
    <IconButton
      icon={copied ? Check : Copy}
      label={copied ? t.copied : (label ?? t.copy)}
      onClick={() => void copy()}
    />
  );
}

/** Pages over plain http, except on localhost, have no clipboard API, only `execCommand`. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByCommand(text);
  }
}

function copyByCommand(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

/** The curl command that does the same as a button. */
export function CurlLine({ command }: { command: string }): ReactElement {
  const t = useWords(shared);
  return (
    <details className="curl">
      <summary>{t.showCurl}</summary>
      <div className="curl-line">
        <code>{command}</code>
        <CopyButton text={command} />
      </div>
    </details>
  );
}

/** Characters. Linux limits one argument to 128 KiB, and longer commands are unreadable anyway. */
export const LONGEST_CURL = 20_000;

/** @example curlOf("POST", "/api/task/7/cancel") */
export function curlOf(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, body?: JsonText): string {
  const verb = method === "GET" ? "" : ` -X ${method}`;
  const data = body === undefined ? "" : ` -d ${quoted(body)}`;
  const type = body === undefined ? "" : ` -H 'Content-Type: application/json'`;
  return `curl${verb} ${quoted(location.origin + path)}${type}${data}`;
}

/** For a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
