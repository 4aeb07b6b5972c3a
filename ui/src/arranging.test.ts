import { fireEvent, render, screen } from "@testing-library/svelte";
import { tick } from "svelte";
import { describe, expect, it, vi } from "vitest";
import App from "./App.svelte";
import { Larder } from "./model/larder.svelte";
import { TestingBackend } from "./testing/backend";
import { fullHouse, house } from "./testing/houses";
import { crowd, lastUses } from "./testing/past";

let backend: TestingBackend;
let larder: Larder;

async function open(first = fullHouse()) {
  backend = new TestingBackend(first);
  larder = await Larder.open(backend);
  render(App, { larder });
  await tick();
}
const button = (name: string | RegExp) => screen.getByRole("button", { name });
const press = (key: string, more: object = {}) =>
  fireEvent.keyDown(document.activeElement ?? document.body, { key, ...more });
const settle = () => new Promise((done) => setTimeout(done, 10));
const labels = () => [...document.querySelectorAll("[data-account]")].map((one) => one.textContent);

describe("a label", () => {
  it("is written anew in the row, by F2", async () => {
    await open();
    button("work").focus();
    await press("F2");
    const input = screen.getByRole("textbox", { name: "New name for work" });
    expect(document.activeElement).toBe(input);
    await fireEvent.input(input, { target: { value: " office " } });
    await press("Enter");
    await settle();
    expect(backend.asked).toEqual(["rename id-work office"]);
    expect(document.activeElement).toBe(button("office"));
  });

  it("stays as it was by Esc, and where it is taken that is said", async () => {
    await open();
    larder.openAccount("id-work");
    await tick();
    await fireEvent.click(button("Rename…"));
    await press("Escape");
    expect(larder.place.page).toBe("account");
    expect(screen.getByRole("heading", { name: "work" })).toBeTruthy();
    await fireEvent.click(button("Rename…"));
    await fireEvent.input(document.activeElement!, { target: { value: "mail" } });
    await press("Enter");
    await settle();
    expect(screen.getByRole("alert").textContent).toContain("names another account already");
    expect(screen.getByRole("textbox", { name: "New name for work" })).toBeTruthy();
  });
});

describe("a test", () => {
  it.each([
    [200, /answered 200 in 120 ms/],
    [401, /does not accept the token/],
    [503, /answered 503 in 120 ms. The token was not refused/],
  ])("says what the provider answered: %i", async (status, said) => {
    await open();
    backend.answer = { host: "www.googleapis.com", status, ms: 120 };
    larder.openAccount("id-work");
    await tick();
    await fireEvent.click(button("Test"));
    await settle();
    expect(screen.getByText(said)).toBeTruthy();
    await fireEvent.click(button("Dismiss"));
    expect(screen.queryByText(said)).toBeNull();
  });
});

describe("the order", () => {
  it("is changed by Alt and an arrow, and told", async () => {
    await open();
    button("community").focus();
    await press("ArrowUp", { altKey: true });
    await settle();
    expect(backend.asked).toEqual(["place id-community id-work"]);
    expect(labels().slice(0, 2)).toEqual(["community", "work"]);
    expect(document.activeElement).toBe(button("community"));
    expect(larder.said).toBe("community is now 1 of 5");
    await press("ArrowUp", { altKey: true });
    await press("ArrowDown", { altKey: true });
    await settle();
    expect(backend.asked).toEqual(["place id-community id-work", "place id-community id-mail"]);
  });

  it("is changed by dragging, and not by Esc", async () => {
    await open();
    [...document.querySelectorAll<HTMLElement>("[data-row]")].forEach((row, at) => {
      row.getBoundingClientRect = () => new DOMRect(0, at * 60, 600, 60);
    });
    const grips = document.querySelectorAll(".grip");
    expect(grips.length).toBe(5);
    await fireEvent.pointerDown(grips[0]!, { button: 0 });
    await fireEvent.pointerMove(window, { clientY: 140 });
    await fireEvent.pointerUp(window);
    await settle();
    expect(backend.asked).toEqual(["place id-work id-mail"]);
    await fireEvent.pointerDown(document.querySelectorAll(".grip")[0]!, { button: 0 });
    await fireEvent.pointerMove(window, { clientY: 900 });
    await fireEvent.keyDown(window, { key: "Escape" });
    await fireEvent.pointerUp(window);
    await settle();
    expect(backend.asked.length).toBe(1);
  });

  it("cannot be changed where only some are shown", async () => {
    await open();
    await fireEvent.input(screen.getByLabelText("Find an account"), { target: { value: "o" } });
    expect(document.querySelector(".grip")).toBeNull();
  });
});

describe("a row", () => {
  it("says who used it last, and when it was refreshed", async () => {
    await open();
    await settle();
    const described = button("work").getAttribute("aria-describedby")!.split(" ");
    const said = described.map((id) => document.getElementById(id)?.textContent).join(" ");
    expect(said).toContain("git, 3 min ago");
    expect(said).toContain("refreshed 17 min ago");
    // Seen as a drawing and the time, which there is room for.
    const seen = document.querySelector("#last-id-work .refreshed [aria-hidden='true']:last-child");
    expect(seen?.textContent).toBe("17 min ago");
    expect(lastUses(0).length).toBeGreaterThan(2);
  });

  it("has its menu where it is pointed at", async () => {
    await open();
    const row = document.querySelector("[data-row='id-work']")!;
    await fireEvent.contextMenu(row, { clientX: 120, clientY: 80 });
    const menu = screen.getByRole("menu");
    expect(menu.style.left).toBe("120px");
    expect(screen.getAllByRole("menuitem").map((item) => item.textContent?.trim())).toEqual([
      "Refresh now",
      "Test",
      "Add access…",
      "Rename…",
      "Sign out",
    ]);
  });
});

describe("a thousand accounts", () => {
  it("are rows only as far as they are in sight, and all are reached by keys", async () => {
    vi.spyOn(HTMLElement.prototype, "offsetHeight", "get").mockReturnValue(600);
    vi.spyOn(HTMLElement.prototype, "offsetWidth", "get").mockReturnValue(600);
    await open(house({ accounts: crowd(1000) }));
    await settle();
    expect(labels().length).toBeLessThan(60);
    expect(labels()[0]).toBe("account-0001");
    expect(document.querySelector("[data-row]")?.getAttribute("aria-setsize")).toBe("1000");
    button("account-0001").focus();
    await press("End");
    await settle();
    expect(larder.selected).toBe("id-account-1000");
    expect(document.activeElement?.textContent).toBe("account-1000");
    vi.restoreAllMocks();
  });
});
