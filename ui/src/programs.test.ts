import { fireEvent, render, screen } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import App from "./App.svelte";
import { Larder } from "./model/larder.svelte";
import { TestingBackend } from "./testing/backend";
import { fullHouse, policy } from "./testing/houses";

let backend: TestingBackend;

async function open(change = {}) {
  backend = new TestingBackend(fullHouse(change));
  backend.known = policy;
  render(App, { larder: await Larder.open(backend) });
  await fireEvent.click(button("Programs"));
  await settle();
}
const button = (name: string | RegExp) => screen.getByRole("button", { name });
const settle = () => vi.advanceTimersByTimeAsync(20);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("programs", () => {
  it("lists the default, the rules and what holds for this session", async () => {
    await open();
    expect(screen.getByLabelText<HTMLInputElement>("Ask me").checked).toBe(true);
    expect(screen.getByText("/usr/bin/git")).toBeTruthy();
    expect(screen.getByText("every account")).toBeTruthy();
    expect(screen.getByText("sync.py")).toBeTruthy();
    expect(screen.getByText("4 rules")).toBeTruthy();
  });

  it("changes each", async () => {
    await open();
    await fireEvent.click(screen.getByLabelText("Refuse"));
    await settle();
    const decision = screen.getByLabelText("What /usr/bin/git may do with work");
    await fireEvent.change(decision, { target: { value: "deny" } });
    await settle();
    await fireEvent.click(button("Remove the rule for /home/ada/bin/backup-photos and every account"));
    await settle();
    await fireEvent.click(button("Revoke what /usr/bin/python3.11 may do with work"));
    await settle();
    expect(backend.asked).toEqual([
      "setPolicy null null deny",
      "setPolicy /usr/bin/git work deny",
      "removeRule /home/ada/bin/backup-photos *",
      "removeRule /usr/bin/python3.11 work",
    ]);
    expect(screen.getByText("2 rules")).toBeTruthy();
    expect(screen.queryByText("sync.py")).toBeNull();
    expect(screen.getByText(/No program gets a token but those/)).toBeTruthy();
  });

  it("says what stands there once there is something, and why a change was refused", async () => {
    await open();
    backend.known = { default: "ask", rules: [], session: [] };
    backend.become({});
    await settle();
    expect(screen.getByText(/What you answer with “Always” or “Never” stands here/)).toBeTruthy();
    backend.refusal = { code: "not-written", file: "policy.toml", detail: "no space" };
    await fireEvent.click(screen.getByLabelText("Allow"));
    await settle();
    expect(screen.getByRole("alert").textContent).toMatch(/policy.toml cannot be written/);
    expect(screen.getByLabelText<HTMLInputElement>("Ask me").checked).toBe(true);
  });

  it("shows hostile names as they are", async () => {
    await open();
    backend.known = {
      default: "ask",
      rules: [{ program: "/tmp/\u202e<b>x", account: "a\u200b", decision: "allow" }],
      session: [],
    };
    backend.become({});
    await settle();
    expect(screen.getByText("/tmp/‹U+202E›<b>x")).toBeTruthy();
    expect(screen.getByText("a‹U+200B›")).toBeTruthy();
  });
});

describe("the lock", () => {
  it("is turned from the programs' page, and is calmly to be seen on all", async () => {
    await open();
    await fireEvent.click(button("Lock hand-outs"));
    await settle();
    expect(screen.getByText("Hand-outs locked")).toBeTruthy();
    expect(screen.getByText(/Larder is locked, so no program gets a token/)).toBeTruthy();
    await fireEvent.click(button(/^Accounts/));
    await fireEvent.click(button("Unlock"));
    await settle();
    expect(backend.asked).toEqual(["lock", "unlock"]);
    expect(screen.queryByText("Hand-outs locked")).toBeNull();
  });

  it("of a house whose keys a passphrase opens is undone in a terminal, once it is sealed", async () => {
    await open({ locked: "sealed", keychain: { kind: "passphrase", state: "locked" } });
    await tick();
    expect(screen.getByText(/Larder is sealed/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Unlock" })).toBeNull();
  });
});
