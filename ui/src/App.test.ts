import { fireEvent, render, screen, within } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import App from "./App.svelte";
import { Larder } from "./model/larder.svelte";
import { TestingBackend } from "./testing/backend";
import { account, attempt, events, fullHouse, house, troubledHouse } from "./testing/houses";

let backend: TestingBackend;
let larder: Larder;

async function open(first = fullHouse()) {
  backend = new TestingBackend(first);
  larder = await Larder.open(backend);
  render(App, { larder });
}
const button = (name: string | RegExp) => screen.getByRole("button", { name });
const settle = () => vi.advanceTimersByTimeAsync(20);
const press = (key: string, more: object = {}) =>
  fireEvent.keyDown(document.activeElement ?? document.body, { key, ...more });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("accounts", () => {
  it("shows how each one stands, and counts down", async () => {
    await open(house({ accounts: [account("work", { expires_at: Date.now() + 121_000 })] }));
    expect(screen.getByText("Fresh for 2 min")).toBeTruthy();
    await vi.advanceTimersByTimeAsync(2000);
    expect(screen.getByText("Fresh for 1 min 59 s")).toBeTruthy();
    expect(screen.getByText("1 of 1 ready")).toBeTruthy();
  });

  it("moves by arrow keys and opens by Enter, with one row in reach of Tab", async () => {
    await open();
    button("work").focus();
    await press("ArrowDown");
    expect(document.activeElement).toBe(button("community"));
    await press("End");
    expect(document.activeElement).toBe(button("music"));
    expect(document.querySelectorAll("li button.open[tabindex='0']").length).toBe(1);
    await fireEvent.click(document.activeElement!);
    expect(screen.getByRole("heading", { name: "music" })).toBeTruthy();
    await press("Escape");
    expect(document.activeElement).toBe(button("music"));
  });

  it("offers in a row's menu what applies", async () => {
    await open();
    await fireEvent.click(button("More for music"));
    expect(screen.getAllByRole("menuitem").map((item) => item.textContent?.trim())).toEqual([
      "Sign in again",
      "Rename…",
      "Forget…",
    ]);
    await press("Escape");
    expect(screen.queryByRole("menu")).toBeNull();
    await fireEvent.click(button("More for work"));
    await fireEvent.click(screen.getByRole("menuitem", { name: "Refresh now" }));
    expect(backend.asked).toEqual(["refresh id-work"]);
  });

  it("filters by Find, focused by / from any page, cleared by Esc", async () => {
    await open();
    await fireEvent.click(button("Programs"));
    await press("/");
    await tick();
    const field = screen.getByLabelText("Find an account");
    expect(document.activeElement).toBe(field);
    await fireEvent.input(field, { target: { value: "disc" } });
    expect(screen.queryByRole("button", { name: "work" })).toBeNull();
    expect(button("community")).toBeTruthy();
    await press("Escape");
    expect(button("work")).toBeTruthy();
  });

  it("says what needs its person, with the way out", async () => {
    await open();
    expect(screen.getByText(/staging: the provider no longer accepts/)).toBeTruthy();
    await fireEvent.click(button("Sign in"));
    expect(backend.asked).toEqual(["signIn keycloak id-staging"]);
  });

  it("shows what is wrong with the house, and unlocks the keychain by a click", async () => {
    await open(troubledHouse());
    expect(screen.getByText(/policy.toml, line 7/)).toBeTruthy();
    await fireEvent.click(button("Unlock keychain"));
    await settle();
    expect(backend.asked).toEqual(["unlock"]);
    expect(screen.queryByRole("button", { name: "Unlock keychain" })).toBeNull();
  });

  it("sends whoever keeps keys by a passphrase to the terminal", async () => {
    await open(house({ keychain: { kind: "passphrase", state: "locked" } }));
    expect(screen.getByText(/locked with your passphrase/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Unlock keychain" })).toBeNull();
  });

  it("invites where there is none", async () => {
    await open(house());
    await fireEvent.click(button("Sign in…"));
    expect(screen.getByRole("heading", { name: "Sign in" })).toBeTruthy();
    expect(document.activeElement?.textContent).toContain("Demo");
  });

  it("says why a command was refused", async () => {
    await open();
    backend.refusal = { code: "keychain-locked" };
    await fireEvent.click(button("Refresh all"));
    await settle();
    expect(within(screen.getByRole("alert")).getByText(/Your keychain is locked/)).toBeTruthy();
    await fireEvent.click(button("Dismiss"));
    expect(screen.queryByRole("alert")).toBeNull();
  });

  it("renders what a person wrote as text alone", async () => {
    await open(house({ accounts: [account("<img src=x onerror=alert(1)>")] }));
    expect(document.querySelector("img")).toBeNull();
  });
});

describe("signing in", () => {
  it("leads from a provider over the browser to the new row", async () => {
    await open();
    backend.lead("sign-in");
    await tick();
    await fireEvent.click(button(/GitHub/));
    await settle();
    expect(screen.getByText("Continue in your browser")).toBeTruthy();
    await fireEvent.click(button("Copy link"));
    await settle();
    expect(button("Copied")).toBeTruthy();
    await fireEvent.click(button("Open again"));
    expect(backend.asked).toEqual(["signIn github null", "copyLink new-1", "openAgain new-1"]);

    backend.becomeAttempt("new-1", { phase: "finishing" });
    await tick();
    expect(screen.getByText("Finishing…")).toBeTruthy();
    const added = account("code", { provider: "github", signed_in_at: Date.now() });
    backend.become({ attempts: [], accounts: [...backend.now.accounts, added] });
    await settle();
    expect(document.activeElement).toBe(button("code"));
    expect(screen.getByText("code is signed in")).toBeTruthy();
  });

  it("says why it failed, and begins anew", async () => {
    await open(house({ attempts: [attempt({ id: "other", provider: "demo" })] }));
    await fireEvent.click(button("Sign in…"));
    await fireEvent.click(button(/GitHub/));
    await settle();
    const problem = { code: "consent-denied", provider: "GitHub" } as const;
    backend.becomeAttempt("new-1", { phase: "failed", problem });
    await tick();
    expect(screen.getByText(/You said no at GitHub/, { selector: "p" })).toBeTruthy();
    await fireEvent.click(button("Try again"));
    await settle();
    expect(backend.asked).toEqual(["signIn github null", "cancelSignIn new-1", "signIn github null"]);
    expect(screen.getByText("Continue in your browser")).toBeTruthy();
    await fireEvent.click(button("Cancel"));
    await settle();
    expect(screen.getByText("Waiting for your browser: Demo", { selector: "li span" })).toBeTruthy();
    expect(screen.queryByText("Waiting for your browser: GitHub", { selector: "li span" })).toBeNull();
  });

  it("says why it could not begin", async () => {
    await open();
    backend.lead("sign-in");
    await tick();
    backend.refusal = { code: "scheme-unhandled" };
    await fireEvent.click(button(/Demo/));
    await settle();
    expect(screen.getByText(/No program opens Larder's links yet/)).toBeTruthy();
    expect(button("Try again")).toBeTruthy();
  });

  it("stands an attempt that goes away", async () => {
    await open(fullHouse({ attempts: [attempt()] }));
    await fireEvent.click(button("Show"));
    backend.become({ attempts: [] });
    await tick();
    expect(screen.getByText("This sign-in is over")).toBeTruthy();
  });

  it("filters as one types, and takes the first by Enter", async () => {
    await open();
    backend.lead("sign-in");
    await tick();
    await press("s");
    const field = screen.getByLabelText("Find a provider");
    expect(document.activeElement).toBe(field);
    await fireEvent.input(field, { target: { value: "spot" } });
    await press("Enter");
    expect(backend.asked).toEqual(["signIn spotify null"]);
  });
});

describe("an account's page", () => {
  it("signs out with five seconds to undo", async () => {
    await open();
    await fireEvent.click(button("work"));
    await fireEvent.click(button("Sign out"));
    await settle();
    expect(screen.getByText(/Its tokens are cleared in 5 s/)).toBeTruthy();
    await vi.advanceTimersByTimeAsync(2000);
    expect(screen.getByText(/Its tokens are cleared in 3 s/)).toBeTruthy();
    await fireEvent.click(button("Undo"));
    expect(backend.asked).toEqual(["signOut id-work", "undoSignOut id-work"]);
  });

  it("says scopes in words, the raw value beside them", async () => {
    await open();
    await fireEvent.click(button("work"));
    expect(screen.getByText("stay signed in")).toBeTruthy();
    expect(screen.getByText("offline_access")).toBeTruthy();
    expect(screen.getByText(/the key is in your keychain \(Secret Service\)/)).toBeTruthy();
  });

  it("asks before it forgets, and leaves once the account is gone", async () => {
    await open();
    await fireEvent.click(button("music"));
    await fireEvent.click(button("Forget this account"));
    expect(backend.asked).toEqual([]);
    expect(document.activeElement).toBe(button("Keep"));
    await fireEvent.click(button("Forget"));
    await settle();
    expect(backend.asked).toEqual(["forget id-music"]);
    expect(screen.getByRole("heading", { name: "Accounts" })).toBeTruthy();
  });
});

describe("activity", () => {
  it("lists what happened, the newest first, as it happens", async () => {
    await open();
    await fireEvent.click(button("Activity"));
    await settle();
    expect(screen.getByText("Nothing has happened yet")).toBeTruthy();
    backend.happened = events();
    backend.become({});
    await vi.advanceTimersByTimeAsync(300);
    const rows = screen.getAllByRole("listitem");
    expect(rows.length).toBe(10);
    expect(rows[0]?.textContent).toContain("Token handed out");
    expect(rows[0]?.textContent).toContain("~/bin/backup-photos");
  });
});

describe("the provider's own words", () => {
  it("stand beneath the sentence, as text alone, with nothing in them that is not seen", async () => {
    const detail = "<b>unknown</b> \u202eclient";
    const problem = { code: "client-refused", provider: "Demo", error: "invalid_client", detail } as const;
    await open(house({ accounts: [account("work", { state: "blocked", problem })] }));
    await fireEvent.click(button("work"));
    const page = within(document.querySelector<HTMLElement>(".page")!);
    expect(page.getByText(/does not accept this client \(invalid_client\); correct/)).toBeTruthy();
    expect(page.getByText("<b>unknown</b> ‹U+202E›client").tagName).toBe("BDI");
    expect(document.querySelector("b")).toBeNull();
    await fireEvent.click(button("Look at the provider"));
    expect(screen.getByRole("heading", { name: "Sign in to Demo" })).toBeTruthy();
  });
});

describe("signing out in the browser too", () => {
  it("is offered after the sign-out, opened by a click alone, and only once", async () => {
    await open(house({ accounts: [account("work", { browser_sign_out: true })] }));
    await fireEvent.click(button("More for work"));
    await fireEvent.click(screen.getByRole("menuitem", { name: "Sign out" }));
    await settle();
    expect(screen.queryByText(/Your browser may still be/)).toBeNull();
    backend.becomeAccount("id-work", { state: "signed-out", undo_until: null });
    await tick();
    expect(screen.getByText(/Your browser may still be signed in at 127.0.0.1:8917/)).toBeTruthy();
    expect(backend.asked).toEqual(["signOut id-work"]);
    await fireEvent.click(button("Sign out in the browser too"));
    await settle();
    expect(backend.asked).toEqual(["signOut id-work", "signOutInBrowser id-work"]);
    expect(screen.queryByText(/Your browser may still be/)).toBeNull();
    // It can be had later as well.
    await fireEvent.click(button("work"));
    expect(button("Sign out in the browser too")).toBeTruthy();
  });

  it("is not offered for an account that has moved to another machine", async () => {
    await open(house({ accounts: [account("work", { state: "signing-out", browser_sign_out: true })] }));
    backend.becomeAccount("id-work", {
      state: "signed-out",
      problem: { code: "moved-away", account: "work" },
    });
    await tick();
    await fireEvent.click(button("work"));
    expect(screen.queryByText(/in the browser too/)).toBeNull();
    expect(screen.queryByText(/The tokens are gone/)).toBeNull();
  });

  it("is not offered where the provider has no such page", async () => {
    await open(house({ accounts: [account("work", { state: "undoable" })] }));
    backend.becomeAccount("id-work", { state: "signed-out" });
    await tick();
    expect(screen.queryByText(/in the browser too/)).toBeNull();
  });
});

describe("an account without a person", () => {
  it("is marked as one, and asks nobody to confirm who they are", async () => {
    await open(
      house({ accounts: [account("robot", { grant_type: "client-credentials", email: null, name: null })] }),
    );
    expect(screen.getByText("A client, no person · Demo")).toBeTruthy();
    await fireEvent.click(button("robot"));
    expect(screen.getByText("None: a client signs in as itself")).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Confirm it is you" })).toBeNull();
  });
});
