// A backend without an agent: for component tests, screenshots and looking at pages in a browser. Never shipped.
import type {
  ActivityFilter,
  Backend,
  Beginning,
  Found,
  More,
  NewProvider,
  PageName,
  Policy,
  Tested,
} from "../backend";
import type { AccountView } from "../generated/AccountView";
import type { AttemptView } from "../generated/AttemptView";
import type { Choice } from "../generated/Choice";
import type { Decision } from "../generated/Decision";
import type { EventView } from "../generated/EventView";
import type { HouseView } from "../generated/HouseView";
import type { Problem } from "../generated/Problem";
import type { RedirectKind } from "../generated/RedirectKind";
import type { ReportLine } from "../generated/ReportLine";
import type { Settings, SettingsChange } from "../model/settings";
import { lastUses, settings } from "./past";
import { attempt as newAttempt, provider as newProvider } from "./houses";

export class TestingBackend implements Backend {
  /** Every command that was given, in order. */
  readonly asked: string[] = [];
  /** What the next command is refused with. */
  refusal: Problem | null = null;
  happened: EventView[] = [];
  /** How often there was something to see. */
  shown = 0;
  /** What its window was built with. */
  begun: Beginning | null = null;
  private houses = new Set<(house: HouseView) => void>();
  private pages = new Set<(page: PageName) => void>();
  private count = 0;

  constructor(public now: HouseView) {}

  beginning = () => this.begun;

  /** Changes the house and tells it, as the agent does. */
  become(change: Partial<HouseView>): void {
    this.now = { ...this.now, at: Math.max(Date.now(), this.now.at + 1), ...change };
    for (const tell of this.houses) tell(this.now);
  }
  becomeAccount(id: string, change: Partial<AccountView>): void {
    this.become({
      accounts: this.now.accounts.map((one) => (one.id === id ? { ...one, ...change } : one)),
    });
  }
  becomeAttempt(id: string, change: Partial<AttemptView>): void {
    this.become({
      attempts: this.now.attempts.map((one) => (one.id === id ? { ...one, ...change } : one)),
    });
  }
  lead(page: PageName): void {
    for (const tell of this.pages) tell(page);
  }

  private async command(name: string, ...args: (string | null)[]): Promise<void> {
    this.asked.push([name, ...args.map(String)].join(" "));
    const refusal = this.refusal;
    this.refusal = null;
    if (refusal) throw refusal;
  }

  house = async () => {
    const refusal = this.refusal;
    this.refusal = null;
    if (refusal) throw refusal;
    return this.now;
  };
  onHouse = async (then: (house: HouseView) => void) => {
    this.houses.add(then);
    return () => void this.houses.delete(then);
  };
  onPage = async (then: (page: PageName) => void) => {
    this.pages.add(then);
    return () => void this.pages.delete(then);
  };
  events = async () => this.happened;
  history = async (account: string, since: number) =>
    this.happened.filter((one) => one.account === account && one.at >= since);
  activity = async (filter: ActivityFilter) => {
    const words = filter.words.toLowerCase().split(/\s+/).filter(Boolean);
    return this.happened
      .filter(
        (one) =>
          (filter.account === null || one.account === filter.account) &&
          (filter.kinds.length === 0 || filter.kinds.includes(one.kind)) &&
          (filter.since === null || one.at >= filter.since) &&
          words.every((word) =>
            [one.kind, one.label, one.program, JSON.stringify(one.problem)]
              .join("\n")
              .toLowerCase()
              .includes(word),
          ),
      )
      .toReversed()
      .slice(0, filter.most);
  };
  saveActivity = async (filter: ActivityFilter, format: "json" | "csv") => {
    await this.command("saveActivity", format, filter.words);
    return `/home/ada/Downloads/larder-activity.${format}`;
  };
  used = lastUses(Date.now());
  lastUses = async () => this.used;
  ready = async () => void ++this.shown;
  hears = async () => undefined;

  signIn = async (provider: string, account: string | null, redirect: RedirectKind | null, more: More) => {
    const asked = [...(redirect ? [redirect] : []), ...more.scopes, ...(more.anew ? ["anew"] : [])];
    await this.command("signIn", provider, account, ...asked);
    return this.begin(provider, account, redirect ?? "deep-link");
  };
  private begin(provider: string, account: string | null, redirect: RedirectKind): string {
    const id = `new-${++this.count}`;
    const host = new URL(this.now.providers.find((one) => one.name === provider)!.issuer).host;
    this.become({ attempts: [...this.now.attempts, newAttempt({ id, provider, account, redirect, host })] });
    return id;
  }
  cancelSignIn = async (attempt: string) => {
    await this.command("cancelSignIn", attempt);
    this.become({ attempts: this.now.attempts.filter((one) => one.id !== attempt) });
  };
  openAgain = (attempt: string) => this.command("openAgain", attempt);
  copyLink = (attempt: string) => this.command("copyLink", attempt);
  pasteAddress = () => this.command("pasteAddress");

  openRegistration = (provider: string) => this.command("openRegistration", provider);
  copyRedirect = (provider: string) => this.command("copyRedirect", provider);
  ownRedirect = async (kind: RedirectKind) =>
    kind === "loopback" ? "http://127.0.0.1/callback" : "dev.larder.desktop:/callback";
  copyOwnRedirect = (kind: RedirectKind) => this.command("copyOwnRedirect", kind);
  found: Found | null = null;
  find = async (url: string) => {
    await this.command("find", url);
    return this.found!;
  };
  adopt = async (url: string) => {
    await this.command("adopt", url);
    return "demo";
  };
  picture = async () => ({ size: 21, path: "M0 0h1v1h-1z" });
  saveClient = async (name: string, client_id: string, server: string | null, secret: string | null) => {
    await this.command("saveClient", name, client_id, ...(server === null ? [] : [server]), secret);
    const providers = this.now.providers.map((one) =>
      one.name === name ? { ...one, client_id, ready: true } : one,
    );
    this.become({ providers });
  };
  addProvider = async (added: NewProvider): Promise<[string, string]> => {
    await this.command("addProvider", ...Object.values(added).filter((value) => value !== null));
    const name = added.title.toLowerCase();
    this.become({ providers: [...this.now.providers, newProvider(name, added.title, added.issuer)] });
    return [name, this.begin(name, null, added.redirect)];
  };

  report: ReportLine[] = [];
  checkProvider = async (provider: string) => {
    await this.command("checkProvider", provider);
    return this.report;
  };

  refresh = (account: string) => this.command("refresh", account);
  refreshAll = () => this.command("refreshAll");
  signOut = async (account: string) => {
    await this.command("signOut", account);
    this.becomeAccount(account, { state: "undoable", undo_until: Date.now() + 5000 });
  };
  signOutInBrowser = (account: string) => this.command("signOutInBrowser", account);
  undoSignOut = async (account: string) => {
    await this.command("undoSignOut", account);
    this.becomeAccount(account, { state: "fresh", undo_until: null });
  };
  forget = async (account: string) => {
    await this.command("forget", account);
    this.become({ accounts: this.now.accounts.filter((one) => one.id !== account) });
  };
  rename = async (account: string, label: string) => {
    await this.command("rename", account, label);
    if (this.now.accounts.some((one) => one.label === label && one.id !== account))
      throw { code: "label-taken", label } satisfies Problem;
    this.becomeAccount(account, { label });
  };
  answer: Tested = { host: "www.googleapis.com", status: 200, ms: 120 };
  test = async (account: string) => {
    await this.command("test", account);
    return this.answer;
  };
  place = async (account: string, before: string | null) => {
    await this.command("place", account, before);
    const one = this.now.accounts.find((one) => one.id === account)!;
    const accounts = this.now.accounts.filter((other) => other !== one);
    const at = before === null ? accounts.length : accounts.findIndex((other) => other.id === before);
    this.become({ accounts: accounts.toSpliced(at, 0, one) });
  };
  unlock = async () => {
    await this.command("unlock");
    this.become({ keychain: { ...this.now.keychain, state: "open" }, locked: "unlocked" });
  };

  answerPrompt = async (prompt: string, choice: Choice) => {
    await this.command("answerPrompt", prompt, choice);
    this.become({ prompts: this.now.prompts.filter((one) => one.id !== prompt) });
  };
  known: Policy = { default: "ask", rules: [], session: [] };
  policy = async () => this.known;
  setPolicy = async (program: string | null, account: string | null, decision: Decision) => {
    await this.command("setPolicy", program, account, decision);
    if (program === null) this.known = { ...this.known, default: decision };
    else
      this.known = {
        ...this.known,
        rules: this.known.rules.map((rule) =>
          rule.program === program && rule.account === account ? { ...rule, decision } : rule,
        ),
      };
  };
  removeRule = async (program: string, account: string) => {
    await this.command("removeRule", program, account);
    const other = (one: { program: string; account: string }) =>
      one.program !== program || one.account !== account;
    this.known = {
      ...this.known,
      rules: this.known.rules.filter(other),
      session: this.known.session.filter(other),
    };
  };
  lock = async () => {
    await this.command("lock");
    this.become({ locked: "locked" });
  };

  chosen: Settings = settings;
  settings = async () => this.chosen;
  changeSettings = async (change: SettingsChange) => {
    await this.command("changeSettings", JSON.stringify(change));
    this.chosen = { ...this.chosen, ...change };
    return this.chosen;
  };
  openFolder = () => this.command("openFolder");
  exportAccounts = async (accounts: string[], passphrase: string) => {
    await this.command("exportAccounts", ...accounts, "*".repeat(passphrase.length));
    for (const account of accounts)
      this.becomeAccount(account, { state: "signed-out", problem: { code: "moved-away", account } });
    return "/home/ada/Downloads/larder-accounts.age";
  };
  importAccounts = async (passphrase: string) => {
    await this.command("importAccounts", "*".repeat(passphrase.length));
    return 2;
  };
  reset = async () => {
    await this.command("reset");
    this.become({ accounts: [], attempts: [] });
  };
}
