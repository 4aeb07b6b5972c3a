// Where the rows of a long list stand: only those in sight exist.
import { createVirtualizer, defaultRangeExtractor, type SvelteVirtualizer } from "@tanstack/svelte-virtual";
import { fromStore } from "svelte/store";
import type { AccountId } from "../generated/AccountId";

/** What a row is high, in CSS pixels, before it has been measured. */
const ROW = 63;

export class Placing {
  readonly #virtualizer: { readonly current: SvelteVirtualizer<HTMLElement, HTMLElement> };

  constructor(ids: readonly AccountId[], kept: number, scroll: () => HTMLElement | null) {
    this.#virtualizer = fromStore(
      createVirtualizer<HTMLElement, HTMLElement>({
        ...rows(ids, kept),
        getScrollElement: scroll,
        estimateSize: () => ROW,
        overscan: 2,
        // At once more than there is room for: a list that grows when it has been measured is laid out twice.
        initialRect: { width: innerWidth, height: innerHeight },
      }),
    );
  }

  /** What is in the list now. The row of `kept` exists however far one scrolls: it may have the focus. */
  list(ids: readonly AccountId[], kept: number): void {
    this.#virtualizer.current.setOptions(rows(ids, kept));
  }

  /** The rows that exist, and where they stand, in CSS pixels. */
  rows(): { index: number; top: number }[] {
    return this.#virtualizer.current.getVirtualItems().map(({ index, start }) => ({ index, top: start }));
  }

  /** How high all of it is, in CSS pixels. */
  height(): number {
    return this.#virtualizer.current.getTotalSize();
  }

  measure(row: HTMLElement): void {
    this.#virtualizer.current.measureElement(row);
  }

  scrollTo(index: number): void {
    this.#virtualizer.current.scrollToIndex(index);
  }
}

const rows = (ids: readonly AccountId[], kept: number) => ({
  count: ids.length,
  getItemKey: (index: number) => ids[index] ?? index,
  rangeExtractor: (range: Parameters<typeof defaultRangeExtractor>[0]) =>
    [...new Set([...defaultRangeExtractor(range), kept])].sort((one, other) => one - other),
});
