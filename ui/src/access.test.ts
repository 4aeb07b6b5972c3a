import { fireEvent, render, screen } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import App from "./App.svelte";
import { Larder } from "./model/larder.svelte";
import { TestingBackend } from "./testing/backend";
import { account, house, unregistered } from "./testing/houses";

let backend: TestingBackend;

const google = {
  ...unregistered("google"),
  ready: true,
  help: {
    ...unregistered("google").help!,
    scopes: [
      { scope: "email", meaning: "scope.email" },
      {
        scope: "https://www.googleapis.com/auth/drive.file",
        meaning: "catalogue.google.scope.https://www.googleapis.com/auth/drive.file",
      },
    ],
  },
};

async function open(change = {}) {
  const one = account("work", { provider: "google", scopes: ["openid", "email"], ...change });
  backend = new TestingBackend(house({ accounts: [one], providers: [google] }));
  render(App, { larder: await Larder.open(backend) });
  await fireEvent.click(button("work"));
}
const button = (name: string | RegExp) => screen.getByRole("button", { name });
const settle = () => vi.advanceTimersByTimeAsync(20);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("adding access", () => {
  it("offers what is not granted yet, each with its meaning, and takes others as text", async () => {
    await open();
    await fireEvent.click(button("Add access…"));
    const boxes = screen.getAllByRole("checkbox");
    expect(boxes.length).toBe(1);
    expect(boxes[0]!.closest("label")!.textContent).toMatch(/drive\.file/);
    expect(boxes[0]!.closest("label")!.textContent).not.toContain("catalogue.");
    expect(button("Continue").hasAttribute("disabled")).toBe(true);
    await fireEvent.click(boxes[0]!);
    await fireEvent.input(screen.getByLabelText("Other scopes"), { target: { value: " notes.read  a " } });
    await fireEvent.click(button("Continue"));
    await settle();
    expect(backend.asked).toEqual([
      "signIn google id-work https://www.googleapis.com/auth/drive.file notes.read a",
    ]);
    expect(screen.getByText("Continue in your browser")).toBeTruthy();
  });

  it("asks for the same once more where it failed", async () => {
    await open();
    await fireEvent.click(button("Add access…"));
    await fireEvent.input(screen.getByLabelText("Other scopes"), { target: { value: "notes.read" } });
    backend.refusal = { code: "unreachable", host: "accounts.google.com" };
    await fireEvent.click(button("Continue"));
    await settle();
    await fireEvent.click(button("Try again"));
    await settle();
    expect(backend.asked).toEqual(["signIn google id-work notes.read", "signIn google id-work notes.read"]);
  });

  it("is left by Esc for the account", async () => {
    await open();
    await fireEvent.click(button("Add access…"));
    await fireEvent.keyDown(document.activeElement!, { key: "Escape" });
    await tick();
    expect(screen.getByRole("heading", { name: "work" })).toBeTruthy();
    expect(backend.asked).toEqual([]);
  });
});

describe("confirming who it is", () => {
  it("has its person authenticate anew", async () => {
    await open();
    await fireEvent.click(button("Confirm it is you"));
    await settle();
    expect(backend.asked).toEqual(["signIn google id-work anew"]);
  });
});
