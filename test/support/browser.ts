/**
 * A real browser without a window, launched once per test file. Every page collects the errors of its console (a refused script or
 * style is one), and `expectQuiet` expects that there are none.
 */
import { join } from "node:path";
import type axe from "axe-core";
import {
  type Browser,
  type BrowserContextOptions,
  type CDPSession,
  chromium,
  type Page,
} from "playwright-core";
import { findBinary, findOrInstall } from "./servers/runner.ts";

export type PageOptions = Pick<
  BrowserContextOptions,
  "viewport" | "colorScheme" | "locale" | "timezoneId" | "reducedMotion"
>;

export interface TestBrowser {
  /** A page whose site has stored nothing; by default 1280 × 800, light, English and without motion. */
  open(url: string, options?: PageOptions): Promise<TestPage>;
  close(): Promise<void>;
}

export interface TestPage {
  readonly page: Page;
  /** The errors of its console and its scripts so far. */
  complaints(): readonly string[];
  /** Violations of accessibility that axe calls serious or critical, one line each. */
  faults(): Promise<readonly string[]>;
  /** The same, and those of the colours in the other scheme. */
  faultsInBothSchemes(): Promise<readonly string[]>;
  /** Saves a screenshot of each colour scheme in the folder SCREENSHOTS; does nothing without that setting. */
  picture(name: string): Promise<void>;
  /**
   * Releases the page: a later `open` with the same language and time zone uses its tab. A test that has changed more than routes,
   * storage, size and media (such as the clock) closes the context instead.
   */
  close(): Promise<void>;
}

/** For an element to appear; well under the time limit of a test, so that the error names the element. */
const PATIENCE_MS = 120_000;

/**
 * Debian's headless shell is the engine of Chromium without its windows: a page costs a third of the processor time of
 * `chromium --headless`, which draws with a software GPU.
 */
const SHELLS = ["chromium-headless-shell", "chrome-headless-shell"];
/** Debian's programs themselves: its scripts on the PATH add flags such as --enable-gpu-rasterization. */
const DEBIAN = "/usr/lib/chromium";
const CHROMIUMS = ["chromium", "chromium-browser", "google-chrome"];

/** A name of this machine whose pages are no secure context over plain http. */
export const PLAIN_HOST = "tasktrack.test";

/** Throws, with what is missing, if there is no Chromium and none can be installed. */
export async function launchBrowser(): Promise<TestBrowser> {
  const args = [
    "--no-sandbox", // the sandbox refuses root, and does not work in containers; only the pages under test are shown
    `--host-resolver-rules=MAP ${PLAIN_HOST} 127.0.0.1`,
  ];
  const browser = await chromium.launch({ executablePath: browserPath(), args });
  const tabs = createTabs(browser);
  return {
    open: async (url, options = {}) => openPage(await tabs.take(options), url, options),
    close: () => browser.close(),
  };
}

function browserPath(): string {
  const path = findFirst(SHELLS) ?? installedShell() ?? findFirst(CHROMIUMS);
  if (path !== null) return path;
  throw new Error(
    "the tests need Chromium: install Debian's chromium-headless-shell, or run them as root (they install it)",
  );
}

const findFirst = (names: readonly string[]): string | null =>
  names.map((name) => findBinary(name, [DEBIAN])).find((path) => path !== null) ?? null;

/** Null if it cannot be installed and another Chromium exists, which works as well and is slower. */
function installedShell(): string | null {
  try {
    return findOrInstall({
      name: "the browser tests",
      debianPackage: "chromium-headless-shell",
      find: () => findFirst(SHELLS),
    });
  } catch (error) {
    if (findFirst(CHROMIUMS) === null) throw error;
    console.error(error instanceof Error ? error.message : String(error));
    return null;
  }
}

interface Tab {
  readonly page: Page;
  giveBack(): Promise<void>;
}

/**
 * Tabs that are used again: a new profile costs 0.4 s of processor time more than another address in a tab that has compiled
 * the scripts.
 */
function createTabs(browser: Browser) {
  const free = new Map<string, Tab[]>();

  async function take({ locale = "en-US", timezoneId }: PageOptions): Promise<Tab> {
    const key = `${locale} ${timezoneId}`; // a context cannot change these
    const found = free.get(key)?.pop();
    if (found !== undefined) return found;
    const context = await browser.newContext({ locale, ...(timezoneId === undefined ? {} : { timezoneId }) });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const session = await context.newCDPSession(page);
    const tab: Tab = { page, giveBack: () => giveBack(key, tab, session) };
    return tab;
  }

  async function giveBack(key: string, tab: Tab, session: CDPSession): Promise<void> {
    const { page } = tab;
    const context = page.context();
    if (page.isClosed()) return context.close();
    await Promise.all(context.pages().map((other) => (other === page ? undefined : other.close())));
    await page.unrouteAll({ behavior: "ignoreErrors" });
    page.removeAllListeners();
    await page.mouse.move(0, 0);
    const { origin } = new URL(page.url());
    await page.goto("about:blank");
    await session.send("Storage.clearDataForOrigin", { origin, storageTypes: "local_storage" });
    free.set(key, [...(free.get(key) ?? []), tab]);
  }

  return { take };
}

async function openPage({ page, giveBack }: Tab, url: string, options: PageOptions): Promise<TestPage> {
  const { viewport, colorScheme = "light", reducedMotion = "reduce" } = options;
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.setViewportSize(viewport ?? { width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme, reducedMotion });
  await page.goto(url);

  async function faultsInBothSchemes(): Promise<string[]> {
    const faults = await faultsOf(page);
    await page.emulateMedia({ colorScheme: colorScheme === "light" ? "dark" : "light" });
    faults.push(...(await faultsOf(page, COLOUR_RULES)));
    await page.emulateMedia({ colorScheme });
    return faults;
  }

  return {
    page,
    complaints: () => complaints,
    faults: () => faultsOf(page),
    faultsInBothSchemes,
    picture: async (name) => {
      const folder = process.env.SCREENSHOTS;
      if (folder === undefined) return;
      for (const scheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme: scheme });
        await page.screenshot({ path: join(folder, `${name}-${scheme}.png`) });
      }
      await page.emulateMedia({ colorScheme });
    },
    close: giveBack,
  };
}

const GRAVE: ReadonlySet<unknown> = new Set(["serious", "critical"]);
/** The rules of axe that depend on colours. */
const COLOUR_RULES = ["color-contrast", "link-in-text-block"];
/** The smaller of its two builds: the browser parses it for each document. */
const AXE = Bun.file(Bun.resolveSync("axe-core/axe.min.js", import.meta.dir));

declare global {
  interface Window {
    readonly axe: typeof axe;
  }
}

/** By these rules only, or by all. */
async function faultsOf(page: Page, rules: readonly string[] | null = null): Promise<string[]> {
  const isThere = await page.evaluate(() => "axe" in window);
  if (!isThere) await page.evaluate(await AXE.text()); // through the debugger, to which the page's policy does not apply
  const { violations } = await page.evaluate(
    (values) =>
      window.axe.run({
        resultTypes: ["violations"], // the other results are computed, but not described
        ...(values === null ? {} : { runOnly: { type: "rule" as const, values: [...values] } }),
      }),
    rules,
  );
  return violations
    .filter(({ impact }) => GRAVE.has(impact))
    .flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${help}: ${html} (${failureSummary ?? ""})`),
    );
}
