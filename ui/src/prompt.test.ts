import { fireEvent, render, screen, within } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import App from "./App.svelte";
import { Larder } from "./model/larder.svelte";
import { TestingBackend } from "./testing/backend";
import { fullHouse, prompt } from "./testing/houses";

/** As long as nothing is answered after a question has appeared. */
const GUARD = 800;

let backend: TestingBackend;

async function open(prompts = [prompt()]) {
  backend = new TestingBackend(fullHouse());
  render(App, { larder: await Larder.open(backend) });
  backend.become({ prompts });
  await tick();
}
const sheet = () => screen.getByRole("alertdialog");
const button = (name: string | RegExp) => within(sheet()).getByRole("button", { name });
const buttons = () =>
  within(sheet())
    .getAllByRole("button")
    .map((one) => one.textContent?.trim());
const settle = () => vi.advanceTimersByTimeAsync(20);
const guarded = () => vi.advanceTimersByTimeAsync(GUARD);
const press = (key: string) => fireEvent.keyDown(document.activeElement!, { key });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a program that asks", () => {
  it("is shown with what the system says of it, whose account, and until when", async () => {
    await open();
    expect(screen.getByRole("heading", { name: "Let “backup-photos” use work?" })).toBeTruthy();
    for (const words of [
      "/usr/bin/backup-photos",
      "--album",
      "summer 2026",
      "4127",
      "/usr/bin/gnome-terminal",
    ])
      expect(within(sheet()).getByText(words)).toBeTruthy();
    expect(sheet().textContent).toMatch(/an access token, good for 42 min/);
    expect(sheet().textContent).toMatch(/cannot prove that a program is what its path says/);
    expect(screen.getByText("Not now in 48 s")).toBeTruthy();
    await vi.advanceTimersByTimeAsync(3000);
    expect(screen.getByText("Not now in 45 s")).toBeTruthy();
    expect(buttons()).toEqual(["Never", "Not now", "This session", "Always", "Once"]);
  });

  it.each([
    ["Once", "once"],
    ["This session", "session"],
    ["Always", "always"],
    ["Not now", "not-now"],
    ["Never", "never"],
  ])("is answered by %s", async (name, choice) => {
    await open();
    await guarded();
    await fireEvent.click(button(name));
    await settle();
    expect(backend.asked).toEqual([`answerPrompt prompt-1 ${choice}`]);
    expect(screen.queryByRole("alertdialog")).toBeNull();
  });

  it("gets nothing by a key or a click that was meant for something else", async () => {
    await open();
    expect(document.activeElement).toBe(screen.getByRole("heading", { name: /Let/ }));
    await press("Enter");
    await press(" ");
    await press("Escape");
    await fireEvent.click(button("Once"));
    expect(backend.asked).toEqual([]);
    await guarded();
    // Nor afterwards, by a key: no button has the focus.
    await press("Enter");
    await press(" ");
    expect(backend.asked).toEqual([]);
    // A window that comes to the front is guarded anew.
    await fireEvent.focus(window);
    await fireEvent.click(button("Once"));
    expect(backend.asked).toEqual([]);
    await guarded();
    await press("Escape");
    expect(backend.asked).toEqual(["answerPrompt prompt-1 not-now"]);
  });

  it("leaves what lies beneath out of reach", async () => {
    await open();
    expect(document.querySelector<HTMLElement>(".window")!.inert).toBe(true);
    await fireEvent.keyDown(document.activeElement!, { key: "k", ctrlKey: true });
    await tick();
    expect(document.activeElement).toBe(screen.getByRole("heading", { name: /Let/ }));
  });

  it("waits for its turn, guarded anew", async () => {
    await open([prompt(), prompt({ path: "/usr/bin/git", arguments: [] }, { id: "prompt-2" })]);
    await guarded();
    await fireEvent.click(button("Once"));
    await settle();
    expect(screen.getByRole("heading", { name: "Let “git” use work?" })).toBeTruthy();
    await fireEvent.click(button("Once"));
    expect(backend.asked).toEqual(["answerPrompt prompt-1 once"]);
    backend.become({ prompts: [] });
    await tick();
    expect(screen.queryByRole("alertdialog")).toBeNull();
    expect(document.querySelector<HTMLElement>(".window")!.inert).toBe(false);
  });

  it("says how many ask at once, and what went wrong with an answer", async () => {
    await open([prompt({}, { waiting: 12 })]);
    expect(screen.getByText("12 times at once; your answer is for all of them")).toBeTruthy();
    await guarded();
    backend.refusal = { code: "not-written", file: "policy.toml", detail: "no space" };
    await fireEvent.click(button("Always"));
    await settle();
    expect(within(sheet()).getByRole("alert").textContent).toMatch(/policy.toml cannot be written/);
  });

  it("that runs others gets “always” in words that say so alone", async () => {
    await open([prompt({ path: "/usr/bin/python3.11", arguments: ["sync.py"], anything_run_by: true })]);
    expect(buttons()).toEqual([
      "Never",
      "Not now",
      "This session",
      "Once",
      "Anything run by python3.11, always",
    ]);
    expect(sheet().textContent).toMatch(/holds for exactly these arguments/);
    await guarded();
    await fireEvent.click(button(/Anything run by/));
    expect(backend.asked).toEqual(["answerPrompt prompt-1 always"]);
  });

  it("that is not known can be answered once, or not now", async () => {
    await open([prompt({ path: "", arguments: [], pid: 0, started_by: null, anything_run_by: true })]);
    expect(screen.getByRole("heading", { name: "Let “an unknown program” use work?" })).toBeTruthy();
    expect(buttons()).toEqual(["Not now", "Once"]);
  });

  it("is harmless, whatever it is called", async () => {
    const path = `/tmp/\u202e<img src=x>\u001b[2J\n${"x".repeat(3000)}`;
    await open([prompt({ path, arguments: ["\u2066a", "", ...Array(200).fill("y".repeat(5000))] })]);
    expect(document.querySelector("img")).toBeNull();
    const text = sheet().textContent ?? "";
    expect(text).toContain("‹U+202E›<img src=x>‹U+001B›[2J‹U+000A›");
    expect(text).toContain("‹U+2066›a");
    expect(text).toContain("(empty)");
    expect(text).toContain("and 178 more");
    expect(text).not.toMatch(/[\u0000-\u0008\u001b\u202e\u2066]/);
    expect(text.length).toBeLessThan(6000);
    // What is said of it never leaves less to press.
    expect(buttons().length).toBe(5);
  });
});
