import { createSorted } from "./sorted.ts";

/**
 * A table with positive integers as keys, which are assigned in rising order. A row is found in constant time, rows are read in order
 * from any key, and a row takes eight bytes. The table grows by a page at a time; a Map of a million rows blocks the process to rehash.
 */
export interface Pages<T> {
  readonly size: number;
  get(key: number): T | undefined;
  set(key: number, row: T): void;
  delete(key: number): boolean;
  /** Rows with a key > after (null: all), in order. */
  after(key: number | null): Generator<T>;
  /** Rows with a key < before (null: all), backwards. */
  before(key: number | null): Generator<T>;
}

const PAGE = 256;

type Page<T> = { readonly rows: (T | undefined)[]; used: number };

export function createPages<T>(): Pages<T> {
  const pages = new Map<number, Page<T>>();
  const numbers = createSorted<number>((a, b) => a - b);
  let size = 0;

  const numberOf = (key: number): number => Math.floor(key / PAGE);

  function pageFor(number: number): Page<T> {
    const known = pages.get(number);
    if (known !== undefined) return known;
    const page: Page<T> = { rows: new Array<T | undefined>(PAGE).fill(undefined), used: 0 };
    pages.set(number, page);
    numbers.add(number);
    return page;
  }

  function set(key: number, row: T): void {
    const page = pageFor(numberOf(key));
    if (page.rows[key % PAGE] === undefined) {
      page.used++;
      size++;
    }
    page.rows[key % PAGE] = row;
  }

  function remove(key: number): boolean {
    const page = pages.get(numberOf(key));
    if (page === undefined || page.rows[key % PAGE] === undefined) return false;
    page.rows[key % PAGE] = undefined;
    page.used--;
    size--;
    if (page.used === 0) {
      pages.delete(numberOf(key));
      numbers.remove(numberOf(key));
    }
    return true;
  }

  function* after(key: number | null): Generator<T> {
    const start = key === null ? 0 : key + 1;
    for (const number of numbers.from(numberOf(start))) {
      const rows = pages.get(number)?.rows ?? [];
      for (let i = number === numberOf(start) ? start % PAGE : 0; i < PAGE; i++) {
        const row = rows[i];
        if (row !== undefined) yield row;
      }
    }
  }

  function* before(key: number | null): Generator<T> {
    const start = key === null ? Number.MAX_SAFE_INTEGER : key - 1;
    for (const number of numbers.backFrom(numberOf(start))) {
      const rows = pages.get(number)?.rows ?? [];
      for (let i = number === numberOf(start) ? start % PAGE : PAGE - 1; i >= 0; i--) {
        const row = rows[i];
        if (row !== undefined) yield row;
      }
    }
  }

  return {
    get size() {
      return size;
    },
    get: (key) => pages.get(numberOf(key))?.rows[key % PAGE],
    set,
    delete: remove,
    after,
    before,
  };
}
