import type { Found, PageName } from "../backend";
import type { AccountId } from "../generated/AccountId";
import type { ProviderName } from "../generated/ProviderName";
import type { Followed } from "./attempts";

/** The parts of the page Settings. */
export const sections = ["general", "notifications", "security", "programs", "data"] as const;
export type Section = (typeof sections)[number];

/** Where the window's person is. */
export type Place =
  | { page: Exclude<PageName, "settings"> }
  | { page: "settings"; section?: Section }
  | { page: "waiting"; followed: Followed }
  | { page: "provider"; provider: ProviderName }
  | { page: "new-provider" }
  | { page: "found"; url: string; found: Found }
  | { page: "account"; account: AccountId; forgetting: boolean }
  | { page: "access"; account: AccountId };

/** Where Escape leads: one step back. None where there is none. */
export function back(place: Place): Place | null {
  switch (place.page) {
    case "provider":
    case "new-provider":
    case "found":
      return { page: "sign-in" };
    case "access":
      return { page: "account", account: place.account, forgetting: false };
    case "waiting":
    case "account":
    case "sign-in":
      return { page: "accounts" };
    default:
      return null;
  }
}
