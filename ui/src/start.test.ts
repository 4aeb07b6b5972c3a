import { fireEvent, screen } from "@testing-library/svelte";
import { expect, it, vi } from "vitest";
import { start } from "./start";
import type { HouseView } from "./generated/HouseView";
import type { Problem } from "./generated/Problem";
import { TestingBackend } from "./testing/backend";
import { fullHouse, house } from "./testing/houses";

const gone: Problem = { code: "no-agent", path: "/run/agent.sock", detail: "not found" };

/** As long as the agent is away, every ask is refused. */
function away(backend: TestingBackend): { back: () => void } {
  const house = backend.house;
  backend.house = () => Promise.reject(gone);
  return { back: () => void (backend.house = house) };
}

it("goes on by itself when the agent comes back", async () => {
  const backend = new TestingBackend(fullHouse());
  const { back } = away(backend);
  const target = document.body.appendChild(document.createElement("div"));
  const larder = start(backend, target);
  await screen.findByRole("button", { name: "Try again" });
  back();
  backend.become({});
  await larder;
  expect(screen.getByRole("heading", { name: "Accounts" })).toBeTruthy();
  expect(screen.queryByText(/does not answer/)).toBeNull();
  target.remove();
});

it("says that the agent cannot be reached, and tries again by a click", async () => {
  const backend = new TestingBackend(fullHouse());
  const { back } = away(backend);
  const target = document.body.appendChild(document.createElement("div"));
  const larder = start(backend, target);
  const again = await screen.findByRole("button", { name: "Try again" });
  expect(backend.shown).toBe(1);
  back();
  await fireEvent.click(again);
  await larder;
  expect(screen.getByRole("heading", { name: "Accounts" })).toBeTruthy();
  expect(screen.queryByText(/does not answer/)).toBeNull();
  target.remove();
});

it("loses no change that comes while it asks", async () => {
  const backend = new TestingBackend(house());
  const first = backend.house;
  backend.house = async () => {
    const old = await first();
    backend.become({ accounts: fullHouse().accounts });
    return old;
  };
  const target = document.body.appendChild(document.createElement("div"));
  const larder = await start(backend, target);
  expect(larder.house.accounts.length).toBe(5);
  target.remove();
});

it("draws what it was built with before it is told anything, and then what is newer", async () => {
  const backend = new TestingBackend(fullHouse());
  backend.begun = { house: house(), chosen: { theme: "dark", language: "de" }, page: "accounts" };
  let tell = (_: HouseView) => {};
  backend.house = () => new Promise((then) => (tell = then));
  const target = document.body.appendChild(document.createElement("div"));
  const larder = await start(backend, target);
  expect(backend.shown).toBe(1);
  expect(larder.house.accounts.length).toBe(0);
  expect(document.documentElement).toMatchObject({ lang: "de", dataset: { theme: "dark" } });
  tell({ ...backend.now, at: larder.house.at + 1 });
  await screen.findByText("community");
  expect(backend.asked).not.toContain("settings");
  target.remove();
});

it("asks to be shown once there is something to see", async () => {
  const backend = new TestingBackend(fullHouse());
  const target = document.body.appendChild(document.createElement("div"));
  let seen = "";
  backend.ready = async () => void (seen = target.textContent ?? "");
  await start(backend, target);
  expect(seen).toContain("community");
  target.remove();
});

it("is seen before it hears, and says that it hears only once it does", async () => {
  const backend = new TestingBackend(fullHouse());
  backend.begun = { house: house(), chosen: { theme: "system", language: "en" }, page: "accounts" };
  let listened = () => {};
  const onPage = backend.onPage.bind(backend);
  backend.onPage = async (then) => {
    await new Promise<void>((done) => (listened = done));
    return onPage(then);
  };
  let hears = 0;
  backend.hears = async () => void ++hears;
  const target = document.body.appendChild(document.createElement("div"));
  const started = start(backend, target);
  await vi.waitFor(() => expect(backend.shown).toBe(1));
  expect(hears).toBe(0);
  listened();
  await started;
  expect(hears).toBe(1);
  target.remove();
});
