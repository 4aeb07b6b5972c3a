import type { AccountState } from "../generated/AccountState";
import type { AccountView } from "../generated/AccountView";
import type { HouseView } from "../generated/HouseView";
import { t } from "../messages";
import { titled } from "./text";
import { span } from "./time";

export type Tone = "fresh" | "due" | "alert" | "idle";
export type Shape = "ok" | "turn" | "clock" | "warn" | "block" | "out";
export type Line = "solid" | "dotted" | "striped" | "dashed" | "none";

/** How a state is shown: a shape, words and a bar, so that colour says nothing alone. */
export interface Shown {
  tone: Tone;
  shape: Shape;
  words: string;
  line: Line;
  /** How much of the token's life is left, 0 to 1. */
  share: number;
}

export const left = (account: AccountView, now: number): number | null =>
  account.expires_at === null ? null : account.expires_at - now;

function share(account: AccountView, now: number): number | null {
  const rest = left(account, now);
  if (rest === null) return null;
  const whole =
    account.lifetime ??
    (account.refreshed_at === null ? null : (account.expires_at ?? 0) - account.refreshed_at);
  if (whole === null || whole <= 0) return null;
  return Math.min(1, Math.max(0, rest / whole));
}

const looks: Record<AccountState, { tone: Tone; shape: Shape; line: Line }> = {
  fresh: { tone: "fresh", shape: "ok", line: "solid" },
  refreshing: { tone: "due", shape: "turn", line: "solid" },
  waiting: { tone: "due", shape: "clock", line: "dotted" },
  "sign-in-again": { tone: "alert", shape: "warn", line: "striped" },
  blocked: { tone: "alert", shape: "block", line: "striped" },
  undoable: { tone: "idle", shape: "out", line: "none" },
  "signing-out": { tone: "idle", shape: "out", line: "dashed" },
  "signed-out": { tone: "idle", shape: "out", line: "dashed" },
};

export function shown(account: AccountView, now: number): Shown {
  const look = looks[account.state];
  const part = share(account, now);
  const measured = look.line === "solid" || look.line === "dotted";
  return {
    ...look,
    line: measured && part === null ? "none" : look.line,
    share: part ?? 0,
    words: words(account, now),
  };
}

function words(account: AccountView, now: number): string {
  const rest = left(account, now);
  switch (account.state) {
    case "fresh":
      if (rest === null) return t("state.fresh");
      return rest > 0 ? t("state.fresh-for", { time: span(rest) }) : t("state.due");
    case "refreshing":
      return rest !== null && rest > 0
        ? t("state.refreshing-left", { time: span(rest) })
        : t("state.refreshing");
    default:
      return t(`state.${account.state}`);
  }
}

/** While a refresh waits: what the last token is still good for. */
export function stillGood(account: AccountView, now: number): string {
  const rest = left(account, now);
  if (rest === null) return t("state.still-good-unknown");
  return rest > 0 ? t("state.still-good", { time: span(rest) }) : t("state.not-good");
}

export type Action =
  | "refresh"
  | "test"
  | "sign-in-again"
  | "undo"
  | "add-access"
  | "rename"
  | "sign-out"
  | "sign-out-in-browser"
  | "forget";

const offered: Record<AccountState, readonly Action[]> = {
  fresh: ["refresh", "test", "add-access", "rename", "sign-out"],
  refreshing: ["test", "add-access", "rename", "sign-out"],
  waiting: ["refresh", "test", "sign-in-again", "rename", "sign-out"],
  "sign-in-again": ["sign-in-again", "rename", "sign-out"],
  blocked: ["refresh", "sign-in-again", "rename", "sign-out"],
  undoable: ["undo"],
  "signing-out": [],
  "signed-out": ["sign-in-again", "rename", "forget"],
};
/** Whether to offer it: here it is over. What has moved to another machine goes on there. */
export const maySignOutInBrowser = (account: AccountView): boolean =>
  account.browser_sign_out && account.state === "signed-out" && account.problem === null;

export function actions(account: AccountView): readonly Action[] {
  if (!maySignOutInBrowser(account)) return offered[account.state];
  return ["sign-in-again", "sign-out-in-browser", "rename", "forget"];
}

/** Whether it has just been signed out here, and its person may want the same of the browser. */
export const isLeftInBrowser = (was: AccountView | undefined, account: AccountView): boolean =>
  maySignOutInBrowser(account) && was !== undefined && was.state !== "signed-out";

/** Whether a client signed in as itself: there is no person. */
export const isMachine = (account: AccountView) => account.grant_type === "client-credentials";

export const isSignedIn = (account: AccountView) =>
  !["undoable", "signing-out", "signed-out"].includes(account.state);

export function isReady(account: AccountView, now: number): boolean {
  const rest = left(account, now);
  return ["fresh", "refreshing", "waiting"].includes(account.state) && (rest === null || rest > 0);
}

/** A provider's title; the bare name where it has been removed since. */
export const titleOf = (house: HouseView, provider: string): string =>
  titled(house.providers.find((one) => one.name === provider)?.title ?? provider);

export function subtitle(account: AccountView, provider: string): string {
  if (account.state === "signed-out") return t("account.signed-out-of", { provider });
  if (isMachine(account)) return t("account.machine-of", { provider });
  return t("account.of", { who: account.email ?? account.name ?? host(account.issuer), provider });
}

export function matches(account: AccountView, provider: string, query: string): boolean {
  const text = [account.label, account.name, account.email, provider, account.issuer].join("\n");
  return contains(text, query);
}

export function contains(text: string, query: string): boolean {
  return query
    .toLocaleLowerCase()
    .split(/\s+/)
    .every((word) => text.toLocaleLowerCase().includes(word));
}

/** The host of an issuer, for where there is no room for all of it. */
export const host = (issuer: string): string =>
  issuer.replace(/^[a-z][a-z0-9+.-]*:\/\//i, "").replace(/\/.*$/, "");
