import { fireEvent, render, screen, within } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, describe, expect, it } from "vitest";
import App from "./App.svelte";
import { speak } from "./messages/language.svelte";
import { dress } from "./model/appearance";
import { followChosen } from "./model/chosen.svelte";
import { Larder } from "./model/larder.svelte";
import { TestingBackend } from "./testing/backend";
import { events, fullHouse, house } from "./testing/houses";
import { past } from "./testing/past";

let backend: TestingBackend;
let larder: Larder;
const root = document.documentElement;

async function open(page: "settings" | "activity" | "accounts", first = fullHouse()) {
  backend = new TestingBackend(first);
  backend.happened = events();
  larder = await Larder.open(backend);
  larder.go({ page });
  render(App, { larder });
  await settle();
}
const button = (name: string | RegExp) => screen.getByRole("button", { name });
const settle = (ms = 20) => new Promise((done) => setTimeout(done, ms));
const input = (label: string, value: string) =>
  fireEvent.input(screen.getByLabelText(label), { target: { value } });

afterEach(async () => {
  dress("system");
  await speak("en");
});

describe("settings", () => {
  it("hold at once: look and language are seen as they are chosen", async () => {
    await open("settings");
    await fireEvent.click(screen.getByRole("radio", { name: "Dark" }));
    await settle();
    expect(root.dataset.theme).toBe("dark");
    await fireEvent.click(screen.getByRole("radio", { name: "High contrast" }));
    await settle();
    expect(root.dataset.theme).toBeUndefined();
    expect(root.dataset.contrast).toBe("more");
    await fireEvent.click(screen.getByRole("radio", { name: "Deutsch" }));
    expect(await screen.findByRole("heading", { name: "Einstellungen" }, { timeout: 30_000 })).toBeTruthy();
    expect(screen.getByRole("button", { name: /Konten/ })).toBeTruthy();
    expect(backend.asked).toEqual([
      `changeSettings {"theme":"dark"}`,
      `changeSettings {"theme":"contrast"}`,
      `changeSettings {"language":"de"}`,
    ]);
  });

  it("are as they were where they cannot be written down", async () => {
    await open("settings");
    backend.refusal = { code: "bad-config", file: "config.toml", line: 3, detail: "x" };
    await fireEvent.click(screen.getByRole("radio", { name: "Dark" }));
    await settle();
    expect(root.dataset.theme).toBeUndefined();
    expect((screen.getByRole("radio", { name: "Dark" }) as HTMLInputElement).checked).toBe(false);
    expect(screen.getByRole("alert").textContent).toContain("config.toml, line 3");
  });

  it("change one thing and leave the rest", async () => {
    await open("settings");
    await fireEvent.click(screen.getByRole("switch", { name: "Fresh again after trouble" }));
    await fireEvent.change(screen.getByLabelText("Lock when nobody is there"), { target: { value: "15" } });
    const hook = screen.getByLabelText("After a sign-in, run") as HTMLInputElement;
    await fireEvent.change(hook, { target: { value: "notify-me  --quiet" } });
    await settle();
    expect(backend.chosen.notify).toEqual({ sign_in: true, recovered: true, asks: true });
    expect(backend.chosen.idle_minutes).toBe(15);
    expect(backend.chosen.hooks.on_sign_in).toEqual(["notify-me", "--quiet"]);
    expect(backend.chosen.hooks.on_refresh).toEqual(["/home/ada/bin/reload-mail", "--quiet"]);
  });

  it("let tokens be refreshed earlier, and offer what the file says besides", async () => {
    await open("settings");
    const margin = () => screen.getByLabelText("Refresh early") as HTMLSelectElement;
    expect(margin().value).toBe("");
    await fireEvent.change(margin(), { target: { value: "30" } });
    await settle();
    expect(backend.chosen.refresh_margin).toBe(30);
    await fireEvent.change(margin(), { target: { value: "" } });
    await settle();
    expect(backend.asked).toEqual([
      `changeSettings {"refresh_margin":30}`,
      `changeSettings {"refresh_margin":null}`,
    ]);
    backend.chosen = { ...backend.chosen, refresh_margin: 22 };
    larder.go({ page: "accounts" });
    await settle();
    larder.go({ page: "settings" });
    await settle();
    expect([...margin().options].map((option) => option.value)).toEqual(["", "15", "22", "30", "40", "50"]);
    expect(margin().value).toBe("22");
  });

  it("leave to the file what cannot be written in one line", async () => {
    backend = new TestingBackend(fullHouse());
    backend.chosen = { ...backend.chosen, hooks: { ...backend.chosen.hooks, on_refresh: ["a b", "c"] } };
    larder = await Larder.open(backend);
    larder.go({ page: "settings" });
    render(App, { larder });
    await settle();
    expect((screen.getByLabelText("After a refresh, run") as HTMLInputElement).disabled).toBe(true);
  });

  it("are what the window begins with; without them the system decides", async () => {
    backend = new TestingBackend(house());
    backend.chosen = { ...backend.chosen, theme: "dark", language: "de" };
    await followChosen(backend);
    expect([root.dataset.theme, root.lang]).toEqual(["dark", "de"]);
    backend.settings = () => Promise.reject({ code: "no-agent", path: "", detail: "" });
    await followChosen(backend);
    expect([root.dataset.theme, root.lang]).toEqual([undefined, "en"]);
  });
});

describe("moving", () => {
  it("seals what is chosen with a passphrase that is given twice", async () => {
    await open("settings");
    await fireEvent.click(button("Move…"));
    await fireEvent.click(screen.getByRole("checkbox", { name: "work" }));
    await input("Passphrase", "rhubarb");
    await input("Once more", "rhubard");
    expect(screen.getByText("The two are not the same.")).toBeTruthy();
    expect((button("Move 1 account") as HTMLButtonElement).disabled).toBe(true);
    await input("Once more", "rhubarb");
    await fireEvent.click(button("Move 1 account"));
    await settle();
    expect(backend.asked).toEqual(["exportAccounts id-work *******"]);
    expect(screen.getByText("/home/ada/Downloads/larder-accounts.age")).toBeTruthy();
    expect(document.body.textContent).not.toContain("rhubarb");
  });

  it("brings accounts in", async () => {
    await open("settings");
    await fireEvent.click(button("Import…"));
    await input("The file's passphrase", "rhubarb");
    await fireEvent.click(button("Choose the file"));
    await settle();
    expect(backend.asked).toEqual(["importAccounts *******"]);
    expect(screen.getByText("2 accounts came along.")).toBeTruthy();
  });

  it("starts over only after a question whose harmless answer has the focus", async () => {
    await open("settings");
    await fireEvent.click(button("Start over…"));
    expect(document.activeElement).toBe(button("Keep everything"));
    await fireEvent.click(button("Keep everything"));
    expect(backend.asked).toEqual([]);
    await fireEvent.click(button("Start over…"));
    await fireEvent.click(button("Sign out and forget everything"));
    await settle();
    expect(backend.asked).toEqual(["reset"]);
    expect(screen.getByRole("heading", { name: "Accounts" })).toBeTruthy();
  });
});

describe("the activity", () => {
  it("is searched and narrowed, and says when nothing fits", async () => {
    await open("activity");
    await settle();
    expect(screen.getAllByRole("listitem").length).toBe(10);
    await fireEvent.change(screen.getByLabelText("What happened"), { target: { value: "refreshes" } });
    await settle(300);
    expect(screen.getAllByRole("listitem").length).toBe(2);
    await input("Find in the activity", "kubectl");
    await settle(300);
    expect(screen.getByText("Nothing like that has happened")).toBeTruthy();
    await fireEvent.click(screen.getAllByRole("button", { name: "Show everything" })[0]!);
    await settle(300);
    expect(screen.getAllByRole("listitem").length).toBe(10);
  });

  it("is saved as it is narrowed", async () => {
    await open("activity");
    await settle();
    await input("Find in the activity", "git");
    await settle(300);
    await fireEvent.click(button("Save as CSV"));
    await settle();
    expect(backend.asked).toEqual(["saveActivity csv git"]);
    expect(screen.getByText("/home/ada/Downloads/larder-activity.csv")).toBeTruthy();
  });
});

describe("the timeline on an account's page", () => {
  async function page(happened = past(Date.now())) {
    await open("accounts");
    backend.happened = happened;
    larder.openAccount("id-work");
    await settle(50);
    await tick();
  }

  it("says in words what it shows, and is walked through by arrow keys", async () => {
    await page();
    expect(
      screen.getByText(/^Not fresh for .* · 3 retries · refreshed 2\d times · handed out \d+ times$/),
    ).toBeTruthy();
    const slider = screen.getByRole("slider", { name: "Freshness" });
    await fireEvent.keyDown(slider, { key: "End" });
    expect(slider.getAttribute("aria-valuetext")).toMatch(/Token handed out · git/);
    const last = slider.getAttribute("aria-valuenow");
    await fireEvent.keyDown(slider, { key: "ArrowLeft" });
    expect(Number(slider.getAttribute("aria-valuenow"))).toBe(Number(last) - 1);
    await fireEvent.keyDown(slider, { key: "Escape" });
  });

  it("is a table for whoever wants one, and longer by a click", async () => {
    await page();
    await fireEvent.click(button("As a table"));
    const table = screen.getByRole("table");
    const day = within(table).getAllByRole("row").length;
    expect(day).toBeGreaterThan(30);
    await fireEvent.click(screen.getByRole("radio", { name: "30 d" }));
    await settle();
    expect(screen.getByText(/refreshed 3\d\d times/)).toBeTruthy();
    expect(within(screen.getByRole("table")).getAllByRole("row").length).toBe(201);
  });

  it("says where nothing is written down, and warns of a session that ends", async () => {
    await page([]);
    expect(screen.getByText("Nothing is written down of this time.")).toBeTruthy();
    backend.becomeAccount("id-work", { session_ends_at: Date.now() + 3 * 86_400_000 + 5000 });
    await tick();
    expect(screen.getByText(/The provider ends this session in 3 d/)).toBeTruthy();
    backend.becomeAccount("id-work", { session_ends_at: Date.now() + 8 * 86_400_000 });
    await tick();
    expect(screen.queryByText(/The provider ends this session/)).toBeNull();
  });
});

describe("the first run", () => {
  it("is three quiet steps, and is not shown again", async () => {
    localStorage.removeItem("larder.welcomed");
    await open("accounts", house());
    expect(screen.getByText("Nothing in the larder yet")).toBeTruthy();
    await fireEvent.click(button("How it works"));
    expect(screen.getByRole("img", { name: /^What is kept where: tokens lie sealed/ })).toBeTruthy();
    await fireEvent.click(button("Next"));
    expect(screen.getByText("Then forget about it")).toBeTruthy();
    await fireEvent.click(button("Do not show this again"));
    expect(screen.getByText("Nothing in the larder yet")).toBeTruthy();
    expect(screen.queryByText("How it works")).toBeNull();
    expect(localStorage.getItem("larder.welcomed")).not.toBeNull();
  });
});
