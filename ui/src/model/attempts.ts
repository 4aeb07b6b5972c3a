import type { More } from "../backend";
import type { AccountId } from "../generated/AccountId";
import type { AttemptId } from "../generated/AttemptId";
import type { AttemptView } from "../generated/AttemptView";
import type { HouseView } from "../generated/HouseView";
import type { Problem } from "../generated/Problem";
import type { ProviderName } from "../generated/ProviderName";
import type { ProviderView } from "../generated/ProviderView";
import type { RedirectKind } from "../generated/RedirectKind";
import type { WallTime } from "../generated/WallTime";

/** A sign-in as the window follows it: from the click, before the agent has given it an id, to the account it ends in. */
export interface Followed {
  provider: ProviderName;
  /** The account that signs in again. */
  account: AccountId | null;
  attempt: AttemptId | null;
  /** Chosen instead of the provider's own order. */
  redirect: RedirectKind | null;
  /** Asked for beyond what is written down and granted. */
  more: More;
  /** Why it could not even begin. */
  refused: Problem | null;
  /** When each account was last signed in as this began: what differs later is its result. */
  before: ReadonlyMap<AccountId, WallTime | null>;
}

export const NOTHING_MORE: More = { scopes: [], anew: false };

export type Outcome =
  | { is: "opening" }
  | { is: "waiting" | "finishing"; attempt: AttemptView }
  | { is: "failed"; problem: Problem | null }
  | { is: "done"; account: AccountId }
  | { is: "over" };

export const signInTimes = (house: HouseView): Followed["before"] =>
  new Map(house.accounts.map((account) => [account.id, account.signed_in_at]));

export function outcome(followed: Followed, house: HouseView): Outcome {
  if (followed.refused) return { is: "failed", problem: followed.refused };
  if (followed.attempt === null) return { is: "opening" };

  const attempt = house.attempts.find((one) => one.id === followed.attempt);
  if (attempt?.phase === "failed") return { is: "failed", problem: attempt.problem };
  if (attempt) return { is: attempt.phase, attempt };

  const result = house.accounts.find(
    (account) =>
      account.signed_in_at !== null &&
      (followed.account === null
        ? account.provider === followed.provider
        : account.id === followed.account) &&
      followed.before.get(account.id) !== account.signed_in_at,
  );
  return result ? { is: "done", account: result.id } : { is: "over" };
}

/** Whether this computer's own address helps where the browser's answer cannot come back as a link of Larder's. */
export function loopbackHelps(problem: Problem | null, provider: ProviderView | undefined): boolean {
  const unanswerable = problem?.code === "scheme-taken" || problem?.code === "scheme-unhandled";
  // Only an address that its person registered is accepted there.
  return unanswerable && provider !== undefined && provider.redirects.includes("loopback");
}
