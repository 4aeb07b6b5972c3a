// The only file that knows Tauri. Nothing that passes here is a token, verifier, code or key; a client secret that its
// person typed goes in by `saveClient`, and none comes out.
import { invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import type { AccountId } from "./generated/AccountId";
import type { AttemptId } from "./generated/AttemptId";
import type { Choice } from "./generated/Choice";
import type { ClientKind } from "./generated/ClientKind";
import type { Decision } from "./generated/Decision";
import type { EventKind } from "./generated/EventKind";
import type { EventView } from "./generated/EventView";
import type { GrantView } from "./generated/GrantView";
import type { HouseView } from "./generated/HouseView";
import type { LastUse } from "./generated/LastUse";
import type { PromptId } from "./generated/PromptId";
import type { ProviderName } from "./generated/ProviderName";
import type { RedirectKind } from "./generated/RedirectKind";
import type { ReportLine } from "./generated/ReportLine";
import type { Rule } from "./generated/Rule";
import type { WallTime } from "./generated/WallTime";
import type { Settings, SettingsChange } from "./model/settings";

export type Unlisten = () => void;

/** Where the native menu and the tray can lead. */
export type PageName = "accounts" | "sign-in" | "activity" | "programs" | "settings";

/** An OpenID provider that no catalogue knows. */
export interface NewProvider {
  title: string;
  issuer: string;
  client_id: string;
  /** Separated by spaces. */
  scopes: string;
  redirect: RedirectKind;
  /** Where the client has one. It goes in, and never comes out. */
  secret: string | null;
}

/** What can be signed in to at an address. */
export interface Found {
  issuer: string;
  /** The protected resource, where the address is that of one. */
  resource: string | null;
  /** None where its person is to register one first. */
  client: ClientKind | null;
  title: string;
  scopes: string[];
}

/** What a sign-in asks for beyond what is written down and granted. */
export interface More {
  scopes: string[];
  /** Its person is to authenticate anew, whatever session the browser has. */
  anew: boolean;
}

/** Which programs may have a token without being asked about, and which may not. */
export interface Policy {
  default: Decision;
  /** The first that matches wins. */
  rules: Rule[];
  /** What was allowed until Larder is locked or the agent ends. */
  session: GrantView[];
}

/** What a provider answered when it was asked who an account's token belongs to. */
export interface Tested {
  host: string;
  /** HTTP's; 401 means that it does not accept the token. */
  status: number;
  ms: number;
}

/** Which events are asked for. */
export interface ActivityFilter {
  account: AccountId | null;
  /** Empty means all. */
  kinds: EventKind[];
  since: WallTime | null;
  /** All of them are to be found, in any order; empty finds everything. */
  words: string;
  most: number;
}

/** A square of modules, and the dark ones as an SVG's path. */
export interface Picture {
  size: number;
  path: string;
}

/** What the window was built with, where that was known. */
export interface Beginning {
  house: HouseView;
  chosen: Pick<Settings, "theme" | "language">;
  page: PageName;
}

/** What the window asks of the agent. Every command rejects with a `Problem`. */
export interface Backend {
  beginning(): Beginning | null;
  house(): Promise<HouseView>;
  onHouse(then: (house: HouseView) => void): Promise<Unlisten>;
  onPage(then: (page: PageName) => void): Promise<Unlisten>;
  events(): Promise<EventView[]>;
  /** What concerns an account, the oldest first, up to 20,000 rows. */
  history(account: AccountId, since: WallTime): Promise<EventView[]>;
  /** The newest first. */
  activity(filter: ActivityFilter): Promise<EventView[]>;
  /** The path of the file that was written. */
  saveActivity(filter: ActivityFilter, format: "json" | "csv"): Promise<string>;
  lastUses(): Promise<LastUse[]>;
  /** There is something to see: the window may be shown. */
  ready(): Promise<void>;
  /** What is heard by `onHouse` and `onPage` can be told from now on. */
  hears(): Promise<void>;

  /** `redirect` stands where its person chose one instead of the provider's own order. */
  signIn(
    provider: ProviderName,
    account: AccountId | null,
    redirect: RedirectKind | null,
    more: More,
  ): Promise<AttemptId>;
  cancelSignIn(attempt: AttemptId): Promise<void>;
  openAgain(attempt: AttemptId): Promise<void>;
  copyLink(attempt: AttemptId): Promise<void>;
  /** Hands over the address in the clipboard, which is not seen here. */
  pasteAddress(): Promise<void>;

  openRegistration(provider: ProviderName): Promise<void>;
  copyRedirect(provider: ProviderName): Promise<void>;
  ownRedirect(kind: RedirectKind): Promise<string>;
  copyOwnRedirect(kind: RedirectKind): Promise<void>;
  saveClient(
    provider: ProviderName,
    clientId: string,
    server: string | null,
    secret: string | null,
  ): Promise<void>;
  /** What is at an address. Opens and changes nothing. */
  find(url: string): Promise<Found>;
  /** Has what is at an address written down as a provider. */
  adopt(url: string): Promise<ProviderName>;
  /** The picture of the address at which a device authorization's code is entered. */
  picture(attempt: AttemptId): Promise<Picture>;
  /** Adds it and begins to sign in; where that cannot begin, nothing is added. */
  addProvider(provider: NewProvider): Promise<[ProviderName, AttemptId]>;

  /** What a provider offers, and what is wrong. Signs nobody in. */
  checkProvider(provider: ProviderName): Promise<ReportLine[]>;

  refresh(account: AccountId): Promise<void>;
  refreshAll(): Promise<void>;
  signOut(account: AccountId): Promise<void>;
  /** Opens the provider's own page for it. */
  signOutInBrowser(account: AccountId): Promise<void>;
  undoSignOut(account: AccountId): Promise<void>;
  forget(account: AccountId): Promise<void>;
  rename(account: AccountId, label: string): Promise<void>;
  /** Asks the provider who the token belongs to. */
  test(account: AccountId): Promise<Tested>;
  /** Moves it before another one; null is the end. */
  place(account: AccountId, before: AccountId | null): Promise<void>;
  unlock(): Promise<void>;

  /** What its person says to the program that asks. */
  answerPrompt(prompt: PromptId, choice: Choice): Promise<void>;
  policy(): Promise<Policy>;
  /** The default, where program and account are both absent; else one rule. */
  setPolicy(program: string | null, account: string | null, decision: Decision): Promise<void>;
  /** One rule, and what its program was allowed for this session. */
  removeRule(program: string, account: string): Promise<void>;
  /** From now on nothing is handed out, until `unlock`. */
  lock(): Promise<void>;

  settings(): Promise<Settings>;
  /** What is left out stays as it is. */
  changeSettings(change: SettingsChange): Promise<Settings>;
  /** Shows the data folder in the system's own file manager. */
  openFolder(): Promise<void>;
  /** The path of the sealed file; the accounts go on wherever it is imported. */
  exportAccounts(accounts: AccountId[], passphrase: string): Promise<string>;
  /** Asks for the file by the system's own window; how many came, 0 where none was chosen. */
  importAccounts(passphrase: string): Promise<number>;
  /** Signs out of everything, and forgets it. */
  reset(): Promise<void>;
}

export const tauri: Backend = {
  // Written by `window.rs` before anything of the page runs.
  beginning: () => (globalThis as { larder?: Beginning }).larder ?? null,
  house: () => invoke("house"),
  onHouse: (then) => listen<HouseView>("house", (event) => then(event.payload)),
  onPage: (then) => listen<PageName>("page", (event) => then(event.payload)),
  events: () => invoke("events"),
  history: (account, since) => invoke("history", { account, since }),
  activity: (filter) => invoke("activity", { filter }),
  saveActivity: (filter, format) => invoke("save_activity", { filter, format }),
  lastUses: () => invoke("last_uses"),
  ready: () => invoke("ready"),
  hears: () => invoke("hears"),

  signIn: (provider, account, redirect, more) => invoke("sign_in", { provider, account, redirect, more }),
  cancelSignIn: (attempt) => invoke("cancel_sign_in", { attempt }),
  openAgain: (attempt) => invoke("open_again", { attempt }),
  copyLink: (attempt) => invoke("copy_link", { attempt }),
  pasteAddress: () => invoke("paste_address"),

  openRegistration: (provider) => invoke("open_registration", { provider }),
  copyRedirect: (provider) => invoke("copy_redirect", { provider }),
  ownRedirect: (kind) => invoke("own_redirect", { kind }),
  copyOwnRedirect: (kind) => invoke("copy_own_redirect", { kind }),
  saveClient: (provider, clientId, server, secret) =>
    invoke("save_client", { provider, clientId, server, secret }),
  find: (url) => invoke("find", { url }),
  adopt: (url) => invoke("adopt", { url }),
  picture: (attempt) => invoke("picture", { attempt }),
  addProvider: (provider) => invoke("add_provider", { provider }),

  checkProvider: (provider) => invoke("check_provider", { provider }),

  refresh: (account) => invoke("refresh", { account }),
  refreshAll: () => invoke("refresh_all"),
  signOut: (account) => invoke("sign_out", { account }),
  signOutInBrowser: (account) => invoke("sign_out_in_browser", { account }),
  undoSignOut: (account) => invoke("undo_sign_out", { account }),
  forget: (account) => invoke("forget", { account }),
  rename: (account, label) => invoke("rename", { account, label }),
  test: (account) => invoke("test", { account }),
  place: (account, before) => invoke("place", { account, before }),
  unlock: () => invoke("unlock"),

  answerPrompt: (prompt, choice) => invoke("answer_prompt", { prompt, choice }),
  policy: () => invoke("policy"),
  setPolicy: (program, account, decision) => invoke("set_policy", { program, account, decision }),
  removeRule: (program, account) => invoke("remove_rule", { program, account }),
  lock: () => invoke("lock"),

  settings: () => invoke("settings"),
  changeSettings: (change) => invoke("change_settings", { change }),
  openFolder: () => invoke("open_folder"),
  exportAccounts: (accounts, passphrase) => invoke("export_accounts", { accounts, passphrase }),
  importAccounts: (passphrase) => invoke("import_accounts", { passphrase }),
  reset: () => invoke("reset"),
};
