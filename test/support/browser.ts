/**
 * A real headless browser, launched once per test file. Every page collects the errors of its console, which include scripts and
 * styles that the content security policy rejects.
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
  /** A page with empty local storage; by default 1280 × 800, light, English and with reduced motion. */
  open(url: string, options?: PageOptions): Promise<TestPage>;
  close(): Promise<void>;
}

export interface TestPage {
  readonly page: Page;
  /** The console errors and script errors so far. */
  complaints(): readonly string[];
  /** The serious and critical accessibility violations that axe finds, one line each. */
  faults(): Promise<readonly string[]>;
  /** The same, plus the colour violations in the other colour scheme. */
  faultsInBothSchemes(): Promise<readonly string[]>;
  /** Saves a screenshot in each colour scheme to the folder SCREENSHOTS; does nothing if that variable is not set. */
  picture(name: string): Promise<void>;
  /**
   * Releases the page: a later `open` with the same language and time zone reuses its tab. A test that changes more than routes,
   * storage, size and media (such as the clock) must close the context instead.
   */
  close(): Promise<void>;
}

/** The time limit for an element to appear: below the time limit of a test, so that the error names the element. */
const PATIENCE_MS = 120_000;

/**
 * Debian's headless shell is Chromium without its user interface: a page takes a third of the processor time of
 * `chromium --headless`, which renders with a software GPU.
 */
const SHELLS = ["chromium-headless-shell", "chrome-headless-shell"];
/** The folder of Debian's binaries: the scripts on the PATH add flags such as --enable-gpu-rasterization. */
const DEBIAN = "/usr/lib/chromium";
const CHROMIUMS = ["chromium", "chromium-browser", "google-chrome"];

/** A host name of this machine. Its pages over plain http are not a secure context, unlike those of localhost. */
export const PLAIN_HOST = "tasktrack.test";

/** Throws an error that names the missing package if there is no Chromium and none can be installed. */
export async function launchBrowser(): Promise<TestBrowser> {
  const args = [
    "--no-sandbox", // the sandbox does not work for root and in containers; the browser opens only the pages under test
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

/** Null if it cannot be installed and another Chromium exists; that one also works, but is slower. */
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
 * Reuses tabs: a new profile takes 0.4 s more processor time than a navigation in a tab that has already compiled the scripts.
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
/** The minified build: the browser parses it for each document. */
const AXE = Bun.file(Bun.resolveSync("axe-core/axe.min.js", import.meta.dir));

declare global {
  interface Window {
    readonly axe: typeof axe;
  }
}

/** Runs axe with these rules only, or with all rules. */
async function faultsOf(page: Page, rules: readonly string[] | null = null): Promise<string[]> {
  const isThere = await page.evaluate(() => "axe" in window);
  if (!isThere) await page.evaluate(await AXE.text()); // through the debugger, because the page's content security policy rejects inline scripts
  const { violations } = await page.evaluate(
    (values) =>
      window.axe.run({
        resultTypes: ["violations"], // saves the descriptions of the other results
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
