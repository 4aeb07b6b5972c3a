import { describe, expect, it } from "vitest";
import type { AccountState } from "../generated/AccountState";
import { HOUR, MINUTE, SECOND, account } from "../testing/houses";
import { isReady, matches, shown, stillGood, subtitle } from "./accounts";

const now = Date.now();
const at = (state: AccountState, left: number | null) =>
  account("work", { state, expires_at: left === null ? null : now + left, lifetime: HOUR });

describe("how an account is shown", () => {
  it.each([
    ["fresh", 42 * MINUTE, "Fresh for 42 min"],
    ["fresh", 84 * SECOND, "Fresh for 1 min 24 s"],
    ["fresh", null, "Fresh"],
    ["fresh", -1, "Refresh due"],
    ["refreshing", 3 * MINUTE, "Refreshing, 3 min left"],
    ["refreshing", -1, "Refreshing"],
    ["waiting", 3 * MINUTE, "Waiting"],
    ["sign-in-again", -1, "Sign in again"],
    ["blocked", -1, "Needs a correction"],
    ["undoable", HOUR, "Signed out"],
    ["signing-out", HOUR, "Signing out"],
    ["signed-out", null, "Signed out"],
  ] as const)("%s with %s ms left: %s", (state, left, words) =>
    expect(shown(at(state, left), now).words).toBe(words),
  );

  it("says by shape and bar what it says by colour", () => {
    const looks = (["fresh", "refreshing", "waiting", "sign-in-again", "blocked", "signed-out"] as const).map(
      (state) => shown(at(state, MINUTE), now),
    );
    expect(new Set(looks.map((look) => look.shape)).size).toBe(looks.length);
    for (const tone of new Set(looks.map((look) => look.tone))) {
      const others = looks.filter((look) => look.tone !== tone).map((look) => `${look.shape}`);
      for (const look of looks.filter((one) => one.tone === tone)) expect(others).not.toContain(look.shape);
    }
  });

  it("draws no bar that measures nothing", () => {
    expect(shown(at("fresh", null), now).line).toBe("none");
    expect(shown(at("fresh", 2 * HOUR), now).share).toBe(1);
    expect(shown(at("fresh", -HOUR), now).share).toBe(0);
  });

  it("counts as ready what gives a token that works", () => {
    expect(isReady(at("waiting", MINUTE), now)).toBe(true);
    expect(isReady(at("waiting", -1), now)).toBe(false);
    expect(isReady(at("fresh", null), now)).toBe(true);
    expect(isReady(at("sign-in-again", MINUTE), now)).toBe(false);
    expect(isReady(at("undoable", MINUTE), now)).toBe(false);
    expect(stillGood(at("waiting", 12 * MINUTE), now)).toBe("Still good for 12 min.");
  });

  it("names whose it is", () => {
    expect(subtitle(account("a"), "Google")).toBe("ada@example.com · Google");
    expect(subtitle(account("a", { email: null, name: null }), "Demo")).toBe("127.0.0.1:8917 · Demo");
    expect(subtitle(account("a", { state: "signed-out" }), "Demo")).toBe("Signed out · Demo");
    expect(matches(account("work"), "Google", "goog ADA")).toBe(true);
    expect(matches(account("work"), "Google", "discord")).toBe(false);
  });
});
