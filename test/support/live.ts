import type { Page } from "playwright-core";
import type { Client } from "../../src/client/client.ts";

/** Waits until a page that shows this task receives changes. Earlier changes are in the first read of the page and cause no event. */
export async function untilLive(page: Page, client: Client, id: number): Promise<void> {
  const { name } = await client.get(id);
  const renamed = page.getByText(`${name} is live`).first();
  await client.edit(id, { name: `${name} is live` });
  await renamed.waitFor();
  await client.edit(id, { name });
  await renamed.waitFor({ state: "detached" });
}
