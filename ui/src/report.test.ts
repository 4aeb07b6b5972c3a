import { fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import catalogue from "../../src-tauri/core/messages/catalogue.en.json";
import App from "./App.svelte";
import { Larder } from "./model/larder.svelte";
import { TestingBackend } from "./testing/backend";
import { house, provider } from "./testing/houses";

let backend: TestingBackend;

async function open(providers = [provider("demo", "Demo", "http://127.0.0.1:8917")]) {
  backend = new TestingBackend(house({ providers }));
  render(App, { larder: await Larder.open(backend) });
  await fireEvent.click(button("Sign in…"));
}
const button = (name: string | RegExp) => screen.getByRole("button", { name });
const settle = () => vi.advanceTimersByTimeAsync(20);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("what a provider offers", () => {
  it("is shown line by line where a sign-in failed", async () => {
    await open();
    backend.refusal = { code: "unreachable", host: "127.0.0.1:8917" };
    await fireEvent.click(button(/Demo/));
    await settle();
    const problem = { code: "client-refused", provider: "Demo", error: "e", detail: "so it is" } as const;
    backend.report = [
      { verdict: "good", key: "report.issuer", value: "https://id.example", problem: null },
      { verdict: "odd", key: "report.client-missing", value: "a`b`\u202e", problem: null },
      { verdict: "wrong", key: "report.wrong", value: "", problem },
    ];
    await fireEvent.click(button("Find out why"));
    await settle();
    expect(backend.asked).toEqual(["signIn demo null", "checkProvider demo"]);
    const lines = screen
      .getAllByRole("listitem")
      .map((line) => line.textContent?.replace(/\s+/g, " ").trim());
    expect(lines[0]).toBe("good: https://id.example answers, and is the issuer that it says it is.");
    expect(lines[1]).toContain("a`b`‹U+202E›");
    expect(lines[1]).toContain("odd, and works all the same");
    expect(lines[2]).toMatch(/^wrong: .*The provider says so it is$/);
  });

  it("says why it could not be asked", async () => {
    await open([{ ...provider("demo", "Demo", "http://127.0.0.1:8917"), ready: false }]);
    await fireEvent.click(button(/Demo/));
    backend.refusal = { code: "no-agent", path: "/run/a", detail: "x" };
    await fireEvent.click(button("Check"));
    await settle();
    expect(screen.getByRole("alert").textContent).toMatch(/does not answer/);
  });
});

describe("every provider of the catalogue", () => {
  const words: Record<string, string> = catalogue;
  const names = Object.keys(words).flatMap((key) => /^catalogue\.([^.]+)\.usable$/.exec(key)?.[1] ?? []);

  it("is found by its name, and leads to its help", async () => {
    expect(names.length).toBeGreaterThan(35);
    const entry = (name: string) => ({
      ...provider(name, `The ${name}`, "https://id.example"),
      ready: false,
      client_id: "",
      help: {
        register: "https://id.example/apps",
        redirect: null,
        steps: Object.keys(words).filter((key) => key.startsWith(`catalogue.${name}.step-`)),
        usable: "native" as const,
        why: `catalogue.${name}.usable`,
        verified: true,
        server: null,
        scopes: [],
      },
    });
    await open(names.map(entry));
    for (const name of names) {
      const field = screen.getByLabelText("Find a provider");
      await fireEvent.input(field, { target: { value: `the ${name}` } });
      await fireEvent.click(button(`T The ${name} Needs a client of yours`.replace("T ", "")));
      const page = document.body.textContent ?? "";
      expect(page).toContain(words[`catalogue.${name}.usable`]);
      for (const step of entry(name).help.steps) expect(page).toContain(words[step]);
      expect(page).not.toContain("catalogue.");
      await fireEvent.keyDown(document.activeElement!, { key: "Escape" });
    }
  });
});
