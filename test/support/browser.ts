/**
 * A real browser without a window, launched once a test file. Every page keeps what its console complains about (a refused
 * script or style among it), and `expectQuiet` holds it to nothing.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { findBinary, findOrInstall } from "./servers/runner.ts";

export interface TestBrowser {
  /** A page of a fresh profile; 1280 × 800, light and English unless it is said. */
  open(url: string, options?: BrowserContextOptions): Promise<TestPage>;
  close(): Promise<void>;
}

export interface TestPage {
  readonly page: Page;
  /** What its console and its scripts have complained about so far. */
  complaints(): readonly string[];
  /** Faults of accessibility that axe calls serious or critical, a line each. */
  faults(): Promise<readonly string[]>;
  /** Saves a picture and returns where. Its folder is told by SCREENSHOTS, else it is a new one in the system's own. */
  picture(name: string): Promise<string>;
  /** Ends its profile, its tabs with it. */
  close(): Promise<void>;
}

/** For an element to appear; well under a test's own time, so that the test says which one did not. */
const PATIENCE_MS = 120_000;

/** Throws, and says what is missing, where there is no Chromium and none can be installed. */
export async function launchBrowser(): Promise<TestBrowser> {
  const executablePath = findOrInstall({
    name: "the browser tests",
    debianPackage: "chromium",
    find: () => findBinary("chromium") ?? findBinary("chromium-browser") ?? findBinary("google-chrome"),
  });
  if (executablePath === null) {
    throw new Error(
      "the tests need Chromium: install Debian's chromium, or run them as root (they install it)",
    );
  }
  // Its sandbox refuses root, and needs what containers do not give; it shows nothing here but the pages under test.
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  return { open: (url, options = {}) => openPage(browser, url, options), close: () => browser.close() };
}

async function openPage(browser: Browser, url: string, options: BrowserContextOptions): Promise<TestPage> {
  const context = await browser.newContext({
    ...{ viewport: { width: 1280, height: 800 }, locale: "en-US", colorScheme: "light" },
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(url);
  return {
    page,
    complaints: () => complaints,
    faults: () => faultsOf(page),
    picture: async (name) => {
      const path = join(await picturesFolder(), `${name}.png`);
      await page.screenshot({ path });
      return path;
    },
    close: () => context.close(),
  };
}

async function picturesFolder(): Promise<string> {
  pictures ??= process.env.SCREENSHOTS ?? (await mkdtemp(join(tmpdir(), "tasktrack-pictures-")));
  return pictures;
}
let pictures: string | null = null;

const GRAVE: ReadonlySet<unknown> = new Set(["serious", "critical"]);

declare global {
  interface Window {
    readonly axe: typeof axe;
  }
}

async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe.source); // by the debugger, which the page's policy does not bind
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations
    .filter(({ impact }) => GRAVE.has(impact))
    .flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${help}: ${html} (${failureSummary ?? ""})`),
    );
}
