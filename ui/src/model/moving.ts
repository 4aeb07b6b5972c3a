// Where an account goes when it is moved in the list.
import type { AccountId } from "../generated/AccountId";

/** What a move is told as: before which other one; null is the end. None where nothing would change. */
export type Before = AccountId | null;

/** One step up or down. */
export function step(ids: readonly AccountId[], id: AccountId, by: 1 | -1): { before: Before } | null {
  const at = ids.indexOf(id);
  const to = at + by;
  if (at < 0 || to < 0 || to >= ids.length) return null;
  return { before: by < 0 ? (ids[to] ?? null) : (ids[to + 1] ?? null) };
}

/** Dropped before another one, or at the end. */
export function drop(ids: readonly AccountId[], id: AccountId, before: Before): { before: Before } | null {
  const at = ids.indexOf(id);
  if (before === id || before === (ids[at + 1] ?? null)) return null;
  return { before };
}
