// The only file that knows Tauri. Nothing that passes here is a token, verifier, code or key.
import { invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import type { AccountId } from "./generated/AccountId";
import type { AttemptId } from "./generated/AttemptId";
import type { EventView } from "./generated/EventView";
import type { HouseView } from "./generated/HouseView";
import type { ProviderName } from "./generated/ProviderName";

export type Unlisten = () => void;

/** Where the native menu and the tray can lead. */
export type PageName = "accounts" | "sign-in" | "activity";

/** What the window asks of the agent. Every command rejects with a `Problem`. */
export interface Backend {
  house(): Promise<HouseView>;
  onHouse(then: (house: HouseView) => void): Promise<Unlisten>;
  onPage(then: (page: PageName) => void): Promise<Unlisten>;
  events(): Promise<EventView[]>;
  /** There is something to see: the window may be shown. */
  ready(): Promise<void>;

  signIn(provider: ProviderName, account: AccountId | null): Promise<AttemptId>;
  cancelSignIn(attempt: AttemptId): Promise<void>;
  openAgain(attempt: AttemptId): Promise<void>;
  copyLink(attempt: AttemptId): Promise<void>;

  refresh(account: AccountId): Promise<void>;
  refreshAll(): Promise<void>;
  signOut(account: AccountId): Promise<void>;
  undoSignOut(account: AccountId): Promise<void>;
  forget(account: AccountId): Promise<void>;
  unlock(): Promise<void>;
}

export const tauri: Backend = {
  house: () => invoke("house"),
  onHouse: (then) => listen<HouseView>("house", (event) => then(event.payload)),
  onPage: (then) => listen<PageName>("page", (event) => then(event.payload)),
  events: () => invoke("events"),
  ready: () => invoke("ready"),

  signIn: (provider, account) => invoke("sign_in", { provider, account }),
  cancelSignIn: (attempt) => invoke("cancel_sign_in", { attempt }),
  openAgain: (attempt) => invoke("open_again", { attempt }),
  copyLink: (attempt) => invoke("copy_link", { attempt }),

  refresh: (account) => invoke("refresh", { account }),
  refreshAll: () => invoke("refresh_all"),
  signOut: (account) => invoke("sign_out", { account }),
  undoSignOut: (account) => invoke("undo_sign_out", { account }),
  forget: (account) => invoke("forget", { account }),
  unlock: () => invoke("unlock"),
};
