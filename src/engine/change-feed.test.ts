import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { createTestLog, createTestStore } from "../../test/support/engine.ts";
import { create } from "../core/lifecycle.ts";
import type { Draft } from "../core/task.ts";
import type { Change, ChangePage, CommitNotice, Position, TaskStore } from "../store/store.ts";
import { createChangeFeed, type NewChanges } from "./change-feed.ts";
import { createChangeReader } from "./change-reader.ts";

const DEFAULTS = { delayMs: 0, timeoutMs: null, maxAttempts: 1, backoff: { baseMs: 1, maxMs: 1 } };
const GATHERED_MS = 20;
const POLL_MS = 1_000;

/** A feed on a real store. The test can make the change log unavailable; the reads of it are counted. */
function openFeed({ notifies = true }: { readonly notifies?: boolean } = {}) {
  const clock = createManualClock();
  const stored = createTestStore(clock);
  const log = createTestLog();
  let [reads, watchers, isAway] = [0, 0, false];
  const store: Pick<TaskStore, "changes" | "watch"> = {
    changes: (after, limit) => {
      reads++;
      return isAway ? Promise.reject(new Error("the store is away")) : stored.changes(after, limit);
    },
    watch: (watcher) => {
      watchers++;
      const unwatch = notifies ? stored.watch(watcher) : () => undefined;
      return () => {
        watchers--;
        unwatch();
      };
    },
  };
  const feed = createChangeFeed({ store, clock, log });
  const draft = (): Draft => create({ name: "x" }, DEFAULTS, clock.now());
  return {
    ...{ clock, log, feed, stored },
    /** Creates this many tasks, each of which is one change. */
    add: async (count = 1): Promise<void> => {
      await stored.insert([{ drafts: Array.from({ length: count }, draft), idempotency: null }], clock.now());
    },
    end: async (): Promise<Position> => (await stored.changes(null, 1)).position,
    follow: (from: Position) => createChangeReader({ feed, store }, from),
    takeReads: (): number => {
      const taken = reads;
      reads = 0;
      return taken;
    },
    watchers: () => watchers,
    goAway: (away: boolean): void => {
      isAway = away;
    },
  };
}

const revs = (changes: readonly Change[]): number[] => changes.map(({ rev }) => rev);
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);

/** A listener with the reads that it got, apart from empty ones. */
function listen(x: ReturnType<typeof openFeed>) {
  const received: NewChanges[] = [];
  const unlisten = x.feed.listen((read) => {
    if (read.missed || read.changes.length > 0) received.push(read);
  });
  return { received, unlisten, revs: () => revs(received.flatMap(({ changes }) => changes)) };
}

/** Asks a reader for its next page and advances the clock until the page is there. */
async function nextOf(x: ReturnType<typeof openFeed>, reader: { next(): Promise<ChangePage | null> }) {
  let page: ChangePage | null | undefined;
  void reader.next().then((next) => {
    page = next;
  });
  for (let n = 0; n < 10 && page === undefined; n++) await x.clock.advance(POLL_MS);
  return page;
}

const pageRevs = (page: ChangePage | null | undefined): number[] | string =>
  page?.kind === "changes" ? revs(page.changes) : String(page?.kind);

describe("the change feed", () => {
  test("neither reads nor watches without a listener", async () => {
    const x = openFeed();
    await x.add();
    await x.clock.advance(10_000);
    expect([x.takeReads(), x.watchers()]).toEqual([0, 0]);
    const one = listen(x);
    const other = listen(x);
    await x.clock.advance(GATHERED_MS);
    expect([x.takeReads(), x.watchers()]).toEqual([1, 1]);
    one.unlisten();
    one.unlisten();
    expect(x.watchers()).toBe(1);
    other.unlisten();
    await x.add();
    await x.clock.advance(10_000);
    expect([x.takeReads(), x.watchers()]).toEqual([0, 0]);
  });

  test("begins at the present end, reports that earlier changes were missed, and then passes each change on once", async () => {
    const x = openFeed();
    await x.add(3);
    const listener = listen(x);
    await x.clock.advance(GATHERED_MS);
    expect(listener.received).toEqual([{ changes: [], missed: true }]);
    await x.add(2);
    await x.clock.advance(GATHERED_MS);
    await x.add();
    await x.clock.advance(10_000);
    expect(listener.revs()).toEqual([4, 5, 6]);
    expect(listener.received.filter(({ missed }) => missed)).toHaveLength(1);
  });

  test("reads once for a thousand listeners, and once for a thousand notifications", async () => {
    const x = openFeed();
    const listeners = Array.from({ length: 1_000 }, () => listen(x));
    await x.clock.advance(GATHERED_MS);
    x.takeReads();
    for (let n = 0; n < 1_000; n++) await x.add();
    await x.clock.advance(GATHERED_MS);
    expect(x.takeReads()).toBeLessThanOrEqual(2);
    for (const listener of listeners) expect(listener.revs()).toHaveLength(1_000);
  });

  test("reads once a second, and no more often, if the store does not notify", async () => {
    const x = openFeed({ notifies: false });
    const listener = listen(x);
    await x.clock.advance(1);
    await x.add();
    await x.clock.advance(POLL_MS);
    expect(listener.revs()).toEqual([1]);
    await x.clock.advance(POLL_MS);
    x.takeReads();
    await x.clock.advance(60 * POLL_MS);
    expect(x.takeReads()).toBe(60);
  });

  test("continues from its position after an outage of the store, and logs the outage once", async () => {
    const x = openFeed();
    const listener = listen(x);
    await x.add();
    await x.clock.advance(POLL_MS);
    x.goAway(true);
    await x.add(2);
    await x.clock.advance(60 * POLL_MS);
    expect(x.log.events).toEqual(["changes_failed"]);
    x.goAway(false);
    await x.clock.advance(POLL_MS);
    expect(x.log.events).toEqual(["changes_failed", "changes_read_again"]);
    await x.add();
    await x.clock.advance(GATHERED_MS);
    expect(listener.revs()).toEqual([2, 3, 4]); // the first one came before the feed began
    expect(listener.received.filter(({ missed }) => missed)).toHaveLength(1);
  });

  test("reports missed changes if the log no longer reaches back", async () => {
    const x = openFeed();
    const listener = listen(x);
    await x.clock.advance(GATHERED_MS);
    x.goAway(true);
    for (let n = 0; n < 140; n++) await x.add(1_000);
    x.goAway(false);
    await x.clock.advance(2 * POLL_MS);
    await x.add();
    await x.clock.advance(GATHERED_MS);
    expect(listener.received.filter(({ missed }) => missed)).toHaveLength(2);
    expect(listener.revs()).toEqual([140_001]);
  });

  test("calls no listener that was removed during a read, and every listener that was added then", async () => {
    const x = openFeed();
    const gone = listen(x);
    await x.clock.advance(GATHERED_MS);
    gone.unlisten();
    const there = listen(x);
    await x.add();
    await x.clock.advance(POLL_MS);
    await x.add();
    await x.clock.advance(POLL_MS);
    expect(gone.revs()).toEqual([]);
    expect(there.revs().at(-1)).toBe(2);
    expect(x.watchers()).toBe(1);
  });

  test("calls no listener after its close, also none that is added later", async () => {
    const x = openFeed();
    const listener = listen(x);
    await x.clock.advance(GATHERED_MS);
    x.feed.close();
    listen(x);
    x.takeReads();
    await x.add();
    await x.clock.advance(10_000);
    expect([x.takeReads(), x.watchers(), listener.revs().length]).toEqual([0, 0, 0]);
  });
});

describe("a reader of changes", () => {
  test("catches up from an older position and then follows: each change comes exactly once", async () => {
    const x = openFeed();
    const from = await x.end();
    await x.add(2_500);
    const reader = x.follow(from);
    const seen: number[] = [];
    for (const count of [1_000, 1_000, 500]) {
      const page = await nextOf(x, reader);
      expect(pageRevs(page)).toHaveLength(count);
      if (page?.kind === "changes") seen.push(...revs(page.changes));
    }
    for (let n = 0; n < 5; n++) {
      const page = nextOf(x, reader);
      await x.add(3);
      const got = await page;
      if (got?.kind === "changes") seen.push(...revs(got.changes));
    }
    while (seen.length < 2_515) seen.push(...(pageRevs(await nextOf(x, reader)) as number[]));
    expect(seen).toEqual(range(1, 2_515));
    reader.close();
  });

  test("that has caught up does not read the store, for any number of readers", async () => {
    const x = openFeed();
    const from = await x.end();
    const readers = Array.from({ length: 100 }, () => x.follow(from));
    await x.clock.advance(POLL_MS);
    const pages = readers.map((reader) => reader.next());
    await x.clock.advance(POLL_MS);
    x.takeReads();
    await x.add();
    await x.clock.advance(GATHERED_MS);
    for (const page of pages) expect(pageRevs(await page)).toEqual([1]);
    expect(x.takeReads()).toBeLessThanOrEqual(2);
    for (const reader of readers) reader.close();
    expect(x.watchers()).toBe(0);
  });

  test("that was busy for a moment gets the changes without a read of the store", async () => {
    const x = openFeed();
    const reader = x.follow(await x.end());
    await x.clock.advance(POLL_MS);
    for (let n = 0; n < 10; n++) {
      await x.add(100);
      await x.clock.advance(100);
    }
    x.takeReads();
    expect(pageRevs(await reader.next())).toEqual(range(1, 1_000));
    expect(x.takeReads()).toBe(0);
    reader.close();
  });

  test("that was busy for long reads the older changes from the log", async () => {
    const x = openFeed();
    const reader = x.follow(await x.end());
    await x.clock.advance(POLL_MS);
    for (let n = 0; n < 10; n++) {
      await x.add(1_000);
      await x.clock.advance(100);
    }
    const seen: number[] = [];
    while (seen.length < 10_000) seen.push(...(pageRevs(await nextOf(x, reader)) as number[]));
    expect(seen).toEqual(range(1, 10_000));
    reader.close();
  });

  test.each([
    ["of another store", { epoch: "other", rev: 0 }],
    ["of no store at all", { epoch: "", rev: 0 }],
    ["ahead of the log", { epoch: "test", rev: 9 }],
  ])("at a position %s gets the answer `gone`, and continues from the present end", async (_, from) => {
    const x = openFeed();
    await x.add(2);
    const reader = x.follow(from);
    expect(await nextOf(x, reader)).toEqual({
      ...{ kind: "gone", position: { epoch: "test", rev: 2 }, oldest: { epoch: "test", rev: 0 } },
    });
    const page = nextOf(x, reader);
    await x.add();
    expect(pageRevs(await page)).toEqual([3]);
    reader.close();
  });

  test("waits while the store is away, and continues afterwards", async () => {
    const x = openFeed();
    const from = await x.end();
    await x.add();
    x.goAway(true);
    const reader = x.follow(from);
    let page: ChangePage | null | undefined;
    void reader.next().then((next) => {
      page = next;
    });
    await x.clock.advance(30 * POLL_MS);
    expect(page).toBeUndefined();
    expect(x.takeReads()).toBeLessThan(40);
    x.goAway(false);
    await x.clock.advance(2 * POLL_MS);
    expect(pageRevs(page)).toEqual([1]);
    reader.close();
  });

  test("ends with null at its close, and leaves no listener", async () => {
    const x = openFeed();
    const reader = x.follow(await x.end());
    const page = reader.next();
    await x.clock.advance(POLL_MS);
    reader.close();
    expect(await page).toBeNull();
    expect(await reader.next()).toBeNull();
    expect(x.watchers()).toBe(0);
  });
});

describe("a feed whose listeners need only revocations", () => {
  /** The test sends the notifications of the store. */
  function openNotified() {
    const clock = createManualClock();
    const stored = createTestStore(clock);
    let [reads, notify] = [0, (_due: readonly string[], _notice?: CommitNotice): void => undefined];
    const needs: unknown[] = [];
    const feed = createChangeFeed({
      store: {
        changes: (after, limit) => {
          reads++;
          return stored.changes(after, limit);
        },
        watch: (watcher, needed) => {
          needs.push(needed);
          notify = watcher;
          return () => undefined;
        },
      },
      ...{ clock, log: createTestLog() },
    });
    const readsAfter = async (notice?: CommitNotice): Promise<number> => {
      reads = 0;
      notify([], notice);
      await clock.advance(GATHERED_MS);
      return reads;
    };
    return { clock, feed, needs, readsAfter };
  }

  const harmless: CommitNotice = { seed: "1", counts: [], mayRevoke: false };

  test("is read after commits that may revoke a lease, or of which nothing is known, and not after others", async () => {
    const { clock, feed, readsAfter } = openNotified();
    feed.listen(() => undefined, "revocations");
    await clock.advance(1);
    expect(await readsAfter(harmless)).toBe(0);
    expect(await readsAfter({ ...harmless, mayRevoke: true })).toBe(1);
    expect(await readsAfter()).toBe(1);
    feed.close();
  });

  test("is read after every commit while another listener needs every commit", async () => {
    const { clock, feed, needs, readsAfter } = openNotified();
    feed.listen(() => undefined, "revocations");
    const unlisten = feed.listen(() => undefined);
    await clock.advance(1);
    expect(await readsAfter(harmless)).toBe(1);
    unlisten();
    expect(await readsAfter(harmless)).toBe(0);
    expect(needs).toEqual(["due", "every", "due"]);
    feed.close();
  });
});
