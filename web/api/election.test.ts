import { expect, test } from "bun:test";
import fc from "fast-check";
import { createElection, type Election } from "./election.ts";

type Timer = { readonly at: number; readonly run: () => void };

/**
 * Tabs on one channel whose messages arrive after `delayMs`, with a clock that only the test moves. Messages to a suspended tab are
 * kept or lost: Chromium loses messages that arrive while the debugger stops a page.
 */
function createTabs(delayMs = 0, { isKept = true } = {}) {
  let now = 0;
  let timers: Timer[] = [];
  const tabs = new Map<string, Tab>();

  type Tab = {
    readonly election: Election;
    /** Runs the timer now, or when the tab resumes. */
    readonly run: (deed: () => void) => void;
    /** Delivers the message now, or as described above. */
    readonly hear: (deed: () => void) => void;
    readonly goOn: () => void;
    isReading: boolean;
    isStalled: boolean;
  };

  function after(ms: number, run: () => void): () => void {
    const timer = { at: now + ms, run };
    timers.push(timer);
    return () => {
      timers = timers.filter((one) => one !== timer);
    };
  }

  function open(id: string): void {
    const election = createElection({
      id,
      after: (ms, run) => after(ms, () => tab.run(run)),
      random: () => id.charCodeAt(0) / 256,
      post: (message) => {
        for (const [name, other] of tabs)
          if (name !== id) after(delayMs, () => other.hear(() => other.election.receive(message)));
      },
      read: (signal) => {
        tab.isReading = true;
        signal.addEventListener("abort", () => {
          tab.isReading = false;
        });
      },
    });
    const waiting: (() => void)[] = [];
    const tab: Tab = {
      ...{ election, isReading: false, isStalled: false },
      run: (deed) => void (tab.isStalled ? waiting.push(deed) : deed()),
      hear: (deed) => {
        if (isKept || !tab.isStalled) tab.run(deed);
      },
      goOn: () => {
        tab.isStalled = false;
        for (const deed of waiting.splice(0)) deed();
      },
    };
    tabs.set(id, tab);
    election.join();
  }

  const tabOf = (id: string): Tab => {
    const tab = tabs.get(id);
    if (tab === undefined) throw new Error(`${id} is not open`);
    return tab;
  };

  return {
    open,
    has: (id: string) => tabs.has(id),
    names: () => [...tabs.keys()],
    close: (id: string) => {
      tabOf(id).election.leave();
      tabs.delete(id);
    },
    /** The tab ends without a message. */
    crash: (id: string) => {
      tabOf(id).isStalled = true;
      tabs.delete(id);
    },
    /** Timers and messages of the tab wait until it resumes. */
    stall: (id: string) => {
      tabOf(id).isStalled = true;
    },
    goOn: (id: string) => tabOf(id).goOn(),
    freeze: (id: string) => tabOf(id).election.leave(),
    resume: (id: string) => tabOf(id).election.join(),
    hear: (id: string) => tabOf(id).election.hear(),
    readers: () => [...tabs].flatMap(([id, { isReading }]) => (isReading ? [id] : [])),
    pass: (ms: number) => {
      for (const until = now + ms; ; ) {
        const [next] = timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
        if (next === undefined) {
          now = until;
          return;
        }
        timers = timers.filter((one) => one !== next);
        now = Math.max(now, next.at);
        next.run();
      }
    },
  };
}

test("the first tab reads soon, and later tabs do not", () => {
  const tabs = createTabs(5);
  tabs.open("a");
  tabs.pass(100);
  expect(tabs.readers()).toEqual(["a"]);
  tabs.open("b");
  tabs.open("c");
  tabs.pass(60_000);
  expect(tabs.readers()).toEqual(["a"]);
});

test("after the reader's tab is closed, another tab reads immediately", () => {
  const tabs = createTabs(5);
  for (const id of ["a", "b", "c"]) {
    tabs.open(id);
    tabs.pass(200);
  }
  tabs.close("a");
  tabs.pass(110);
  expect(tabs.readers()).toHaveLength(1);
});

test("another tab reads immediately even if the last events of the reader arrive after it has left", () => {
  const tabs = createTabs(5);
  for (const id of ["a", "b", "c"]) {
    tabs.open(id);
    tabs.pass(200);
  }
  tabs.close("a");
  tabs.pass(6); // the other tabs received the message that it leaves
  for (const id of ["b", "c"]) tabs.hear(id);
  tabs.pass(110);
  expect(tabs.readers()).toHaveLength(1);
});

test("after the reader's tab crashes, another tab reads within eight seconds", () => {
  const tabs = createTabs(5);
  for (const id of ["a", "b", "c"]) {
    tabs.open(id);
    tabs.pass(200);
  }
  tabs.crash("a");
  tabs.pass(8_000);
  expect(tabs.readers()).toHaveLength(1);
});

test("a frozen reader hands over to another tab, and does not read after it resumes", () => {
  const tabs = createTabs(5);
  tabs.open("a");
  tabs.pass(200);
  tabs.open("b");
  tabs.pass(200);
  tabs.freeze("a");
  tabs.pass(200);
  expect(tabs.readers()).toEqual(["b"]);
  tabs.resume("a");
  tabs.pass(60_000);
  expect(tabs.readers()).toEqual(["b"]);
});

test.each([
  ["as they were sent", true],
  ["not at all", false],
])(
  "a reader that was suspended, and then gets the messages of that time %s, stops at the first message of its successor",
  (_, isKept) => {
    const tabs = createTabs(5, { isKept });
    tabs.open("a");
    tabs.pass(200);
    tabs.open("b");
    tabs.pass(200);
    tabs.stall("a");
    tabs.pass(8_000);
    expect(tabs.readers()).toEqual(["a", "b"]); // a has not received the message yet
    tabs.goOn("a");
    tabs.pass(3_010);
    expect(tabs.readers()).toEqual(["b"]);
  },
);

test("tabs that receive messages from the reader do not ask for it", () => {
  const tabs = createTabs();
  tabs.open("a");
  tabs.pass(200);
  tabs.open("b");
  tabs.pass(200);
  tabs.crash("a");
  for (let second = 0; second < 20; second++) {
    tabs.hear("b");
    tabs.pass(1_000);
  }
  expect(tabs.readers()).toEqual([]);
  tabs.pass(8_000);
  expect(tabs.readers()).toEqual(["b"]);
});

test("after any sequence of tab events there is soon exactly one reader", () => {
  const id = fc.constantFrom("a", "b", "c", "d");
  const deed = fc.record({
    what: fc.constantFrom("open", "close", "crash", "stall", "goOn", "freeze", "resume"),
    id,
    thenMs: fc.integer({ min: 0, max: 9_000 }),
  });
  fc.assert(
    fc.property(
      fc.array(deed, { maxLength: 30 }),
      fc.integer({ min: 0, max: 40 }),
      fc.boolean(),
      (deeds, delayMs, isKept) => {
        const tabs = createTabs(delayMs, { isKept });
        for (const { what, id, thenMs } of deeds) {
          if (what === "open" ? !tabs.has(id) : tabs.has(id)) tabs[what as "open"](id);
          tabs.pass(thenMs);
        }
        for (const id of tabs.names()) {
          tabs.goOn(id);
          tabs.resume(id);
        }
        tabs.pass(20_000);
        expect(tabs.readers()).toHaveLength(Math.min(1, tabs.names().length));
      },
    ),
    { numRuns: 300 },
  );
});
