import { createContext } from "svelte";
import type { Backend, More, PageName } from "../backend";
import type { AccountId } from "../generated/AccountId";
import type { AccountView } from "../generated/AccountView";
import type { AttemptView } from "../generated/AttemptView";
import type { HouseView } from "../generated/HouseView";
import type { LastUse } from "../generated/LastUse";
import type { Problem } from "../generated/Problem";
import type { ProviderName } from "../generated/ProviderName";
import type { ProviderView } from "../generated/ProviderView";
import type { RedirectKind } from "../generated/RedirectKind";
import { plainSentence, t } from "../messages";
import { doneOf, type Done } from "./told";
import { isLeftInBrowser, titleOf, type Action } from "./accounts";
import { NOTHING_MORE, signInTimes, type Followed } from "./attempts";
import { Clock } from "./clock.svelte";
import type { Place } from "./place";
import { asProblem } from "./problem";

/** The window's one store: the house as the agent last said, and where its person is. */
export class Larder {
  house: HouseView;
  place: Place = $state.raw({ page: "accounts" });
  /** The row that arrow keys and coming back lead to. */
  selected: AccountId | null = $state(null);
  /** The last command that was refused. */
  refused: Problem | null = $state.raw(null);
  /** The account that was just signed out here, and in the browser is not. */
  leftInBrowser: AccountId | null = $state(null);
  /** What a screen reader says next. */
  said: string = $state("");
  /** Whether the field Find is to take the focus. */
  finding: boolean = $state(false);
  /** What lies over the page. */
  over: "palette" | "shortcuts" | null = $state(null);
  /** The account whose label is being written anew, where it is shown. */
  renaming: AccountId | null = $state(null);
  /** Which program had each account's token last. */
  uses: ReadonlyMap<AccountId, LastUse> = $state.raw(new Map());
  /** What was done, said once and quietly. */
  done: Done | null = $state.raw(null);
  readonly clock = new Clock();

  constructor(
    readonly backend: Backend,
    first: HouseView,
    /** When what changes is heard. */
    readonly listening: Promise<unknown> = Promise.resolve(),
  ) {
    this.house = $state.raw(first);
  }

  /** Begins with what the window was built with, or else listens and asks in one go; asks again when it is heard, so that no
   *  change falls between. */
  static async open(backend: Backend): Promise<Larder> {
    let larder: Larder | undefined;
    let early: HouseView | undefined;
    let page: PageName | undefined;
    const listening = Promise.all([
      backend.onHouse((house) => (larder ? larder.update(house) : (early = house))),
      backend.onPage((name) => (larder ? larder.go({ page: name }) : (page = name))),
    ]);
    const begun = backend.beginning();
    try {
      const [first] = begun ? [begun.house] : await Promise.all([backend.house(), listening]);
      const opened = (larder = new Larder(backend, early && early.at >= first.at ? early : first, listening));
      opened.place = { page: page ?? begun?.page ?? "accounts" };
      const newer = (house: HouseView) => house.at >= opened.house.at && opened.update(house);
      // Where the agent has gone meanwhile, what is heard says so.
      listening.then(() => backend.house()).then(newer, () => undefined);
      return opened;
    } catch (refused) {
      for (const stop of await listening) stop();
      throw refused;
    }
  }

  update(house: HouseView): void {
    this.announce(this.house, house);
    const left = house.accounts.find((account) => isLeftInBrowser(this.account(account.id), account));
    if (left) this.leftInBrowser = left.id;
    this.house = house;
    // What has just begun to count down counts from now, not from up to a second ago.
    this.clock.tick();
    const place = this.place;
    if ((place.page === "account" || place.page === "access") && !this.account(place.account))
      this.go({ page: "accounts" });
  }

  account(id: AccountId): AccountView | undefined {
    return this.house.accounts.find((account) => account.id === id);
  }

  provider(name: ProviderName): ProviderView | undefined {
    return this.house.providers.find((provider) => provider.name === name);
  }

  title(provider: ProviderName): string {
    return titleOf(this.house, provider);
  }

  go(place: Place): void {
    this.refused = null;
    this.renaming = null;
    this.place = place;
  }

  find(): void {
    // Where nothing is, nothing is found; a page with a field of its own is looked through itself.
    if (this.place.page !== "activity" && this.place.page !== "sign-in") this.go({ page: "accounts" });
    this.finding = true;
  }

  lay(over: "palette" | "shortcuts"): void {
    this.over = this.over === over ? null : over;
  }

  /** The account that a key is about. */
  pointed(): AccountView | undefined {
    const place = this.place;
    if (place.page === "account") return this.account(place.account);
    return place.page === "accounts" && this.selected !== null ? this.account(this.selected) : undefined;
  }

  openAccount(account: AccountId, forgetting = false): void {
    this.selected = account;
    this.go({ page: "account", account, forgetting });
  }

  /** A sign-in ended well: its row is the one to look at. */
  arrive(account: AccountId): void {
    this.selected = account;
    this.go({ page: "accounts" });
    this.said = t("attempt.done", { account: this.account(account)?.label ?? "" });
  }

  /** To sign in, or first to what is missing for that. */
  choose(provider: ProviderView): void {
    if (provider.ready) void this.signIn(provider.name, null);
    else this.go({ page: "provider", provider: provider.name });
  }

  async signIn(
    provider: ProviderName,
    account: AccountId | null,
    redirect: RedirectKind | null = null,
    more: More = NOTHING_MORE,
  ): Promise<void> {
    const before = signInTimes(this.house);
    let followed: Followed = { provider, account, attempt: null, redirect, more, refused: null, before };
    const follow = (change: Partial<Followed>) => {
      // Whoever has gone elsewhere meanwhile is not called back.
      const here = this.place.page === "waiting" && this.place.followed === followed;
      followed = { ...followed, ...change };
      if (here) this.place = { page: "waiting", followed };
    };
    this.go({ page: "waiting", followed });
    try {
      const attempt = await this.backend.signIn(provider, account, redirect, more);
      await this.catchUp();
      follow({ attempt });
    } catch (refused) {
      follow({ refused: asProblem(refused) });
    }
  }

  /** An answer can overtake the event that carries what it speaks of; without this an attempt would look over. */
  async catchUp(): Promise<void> {
    const house = await this.backend.house();
    if (house.at >= this.house.at) this.update(house);
  }

  /** Shows a sign-in that was begun before, or elsewhere. */
  show(attempt: AttemptView): void {
    const { provider, account, id } = attempt;
    const before = signInTimes(this.house);
    const more = NOTHING_MORE;
    const followed = { provider, account, attempt: id, redirect: null, more, refused: null, before };
    this.go({ page: "waiting", followed });
  }

  /** Cancels a sign-in, or puts away one that failed. */
  async dismiss(followed: Followed): Promise<void> {
    const attempt = followed.attempt;
    if (attempt !== null && this.house.attempts.some((one) => one.id === attempt))
      await this.run(() => this.backend.cancelSignIn(attempt));
  }

  async act(action: Action, account: AccountView): Promise<void> {
    switch (action) {
      case "refresh":
        return this.run(() => this.backend.refresh(account.id));
      case "sign-out":
        return this.run(() => this.backend.signOut(account.id));
      case "undo":
        return this.run(() => this.backend.undoSignOut(account.id));
      case "sign-in-again":
        return this.signIn(account.provider, account.id);
      case "forget":
        return this.openAccount(account.id, true);
      case "test":
        return this.run(async () => {
          this.done = doneOf.test(await this.backend.test(account.id));
        });
      case "rename":
        this.selected = account.id;
        this.renaming = account.id;
        return;
      case "add-access":
        return this.go({ page: "access", account: account.id });
      case "sign-out-in-browser":
        if (this.leftInBrowser === account.id) this.leftInBrowser = null;
        return this.run(() => this.backend.signOutInBrowser(account.id));
    }
  }

  /** Runs a command; what it refuses with is shown on the page its person is on. */
  async run(command: () => Promise<void>): Promise<void> {
    try {
      await command();
      this.refused = null;
    } catch (refused) {
      this.refused = asProblem(refused);
    }
  }

  /** Whether it succeeded. */
  async succeeds(command: () => Promise<void>): Promise<boolean> {
    await this.run(command);
    return this.refused === null;
  }

  /** Asks who used what last; what cannot be told now is told later. */
  async askUses(): Promise<void> {
    const uses = await this.backend.lastUses().catch(() => null);
    if (uses) this.uses = new Map(uses.map((use) => [use.account, use]));
  }

  private announce(old: HouseView, house: HouseView): void {
    for (const attempt of house.attempts) {
      const was = old.attempts.find((one) => one.id === attempt.id);
      if (was?.phase === attempt.phase) continue;
      const words = t(`attempt.${attempt.phase}`, { provider: titleOf(house, attempt.provider) });
      this.said = attempt.problem ? `${words}. ${plainSentence(attempt.problem)}` : words;
    }
  }
}

export const [useLarder, provideLarder] = createContext<Larder>();
