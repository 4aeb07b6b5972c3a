import { fireEvent, render, screen, within } from "@testing-library/svelte";
import { tick } from "svelte";
import { beforeEach, describe, expect, it } from "vitest";
import App from "./App.svelte";
import { commands, matching } from "./model/commands";
import { Larder } from "./model/larder.svelte";
import { shortcuts } from "./model/shortcuts";
import { TestingBackend } from "./testing/backend";
import { fullHouse, house } from "./testing/houses";
import { crowd } from "./testing/past";

let backend: TestingBackend;
let larder: Larder;

async function open(first = fullHouse()) {
  backend = new TestingBackend(first);
  larder = await Larder.open(backend);
  render(App, { larder });
  await tick();
}
const press = (key: string, more: object = {}) =>
  fireEvent.keyDown(document.activeElement ?? document.body, { key, ...more });
const field = () => screen.getByRole("combobox", { name: "Find anything" });
const type = (value: string) => fireEvent.input(field(), { target: { value } });
const current = () => screen.getByRole("option", { selected: true }).textContent?.replace(/\s+/g, " ").trim();
const settle = () => new Promise((done) => setTimeout(done, 10));

beforeEach(() => localStorage.removeItem("larder.single-keys"));

describe("the palette", () => {
  it("is opened by Ctrl K from anywhere, and closed by Esc with the focus where it was", async () => {
    await open();
    screen.getByRole("button", { name: "work" }).focus();
    await press("k", { ctrlKey: true });
    expect(document.activeElement).toBe(field());
    expect(field().getAttribute("aria-activedescendant")).toBe(
      screen.getByRole("option", { selected: true }).id,
    );
    await press("Escape");
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(document.activeElement).toBe(screen.getByRole("button", { name: "work" }));
    expect(larder.place.page).toBe("accounts");
  });

  it("finds accounts, what can be done with them, pages, providers and settings", async () => {
    await open();
    larder.lay("palette");
    await tick();
    for (const [words, found] of [
      ["disc", "community"],
      ["refresh work", "Refresh now work"],
      ["activ", "Activity"],
      ["sign spot", "Sign in to Spotify"],
      ["notif", "Notifications"],
    ] as const) {
      await type(words);
      expect(current()).toContain(found);
    }
    await type("nothing of the kind");
    expect(screen.queryByRole("option")).toBeNull();
    expect(screen.getByText("Nothing matches “nothing of the kind”.")).toBeTruthy();
  });

  it("moves by arrows around the ends, and does what Enter is pressed on", async () => {
    await open();
    larder.lay("palette");
    await tick();
    await type("mail");
    expect(current()).toContain("mail");
    await press("ArrowUp");
    const all = screen.getAllByRole("option");
    expect(screen.getByRole("option", { selected: true })).toBe(all.at(-1));
    await press("ArrowDown");
    await press("Enter");
    expect(larder.place).toEqual({ page: "account", account: "id-mail", forgetting: false });
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("does by a click what it says", async () => {
    await open();
    larder.lay("palette");
    await tick();
    await type("test work");
    await fireEvent.click(screen.getByRole("option", { selected: true }));
    await settle();
    expect(backend.asked).toEqual(["test id-work"]);
    expect(
      within(screen.getByRole("status")).getByText("www.googleapis.com answered 200 in 120 ms."),
    ).toBeTruthy();
  });

  it("looks through a thousand accounts between two keys", async () => {
    larder = await Larder.open(new TestingBackend(house({ accounts: crowd(1000) })));
    const all = commands(larder);
    expect(all.length).toBeGreaterThan(5000);
    const before = performance.now();
    const found = matching(all, "0777 refr");
    expect(performance.now() - before).toBeLessThan(100);
    expect(found[0]?.id).toBe("refresh id-account-0777");
  });
});

describe("shortcuts", () => {
  it("are all listed by ?", async () => {
    await open();
    await press("?");
    const sheet = screen.getByRole("dialog", { name: "Shortcuts" });
    expect(within(sheet).getAllByRole("definition").length).toBe(shortcuts.length);
    await press("Escape");
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("act on the row that is pointed at, as far as that applies to it", async () => {
    await open();
    screen.getByRole("button", { name: "work" }).focus();
    await press("r");
    await press("Delete");
    await settle();
    screen.getByRole("button", { name: "music" }).focus();
    await press("r");
    expect(backend.asked).toEqual(["refresh id-work", "signOut id-work"]);
    await press("z", { ctrlKey: true });
    await settle();
    expect(backend.asked.at(-1)).toBe("undoSignOut id-work");
    await press("Delete");
    expect(larder.place).toEqual({ page: "account", account: "id-music", forgetting: true });
  });

  it("are letters again in a field", async () => {
    await open();
    larder.selected = "id-work";
    await press("/");
    await tick();
    await press("r");
    expect(backend.asked).toEqual([]);
    expect(document.activeElement).toBe(screen.getByLabelText("Find an account"));
  });

  it("can be had without letters by themselves", async () => {
    await open();
    await press("?");
    await fireEvent.click(screen.getByRole("switch"));
    await press("Escape");
    await press("?");
    expect(screen.queryByRole("dialog")).toBeNull();
    await press("k", { ctrlKey: true });
    expect(field()).toBeTruthy();
  });
});
