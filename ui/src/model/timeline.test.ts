import { describe, expect, it } from "vitest";
import type { EventView } from "../generated/EventView";
import { account, DAY, event, HOUR, MINUTE } from "../testing/houses";
import { corners, leftAt, nearest, timeline } from "./timeline";

const NOW = 1_800_000_000_000;
const hour = (n: number) => NOW - n * HOUR;
const happened = (at: number, kind: EventView["kind"], change: Partial<EventView> = {}) =>
  event(at, kind, change);
const work = (change = {}) =>
  account("work", {
    lifetime: HOUR,
    expires_at: NOW + 30 * MINUTE,
    refreshed_at: NOW - 30 * MINUTE,
    ...change,
  });
const down = { code: "unreachable", host: "example.com" } as const;

describe("a timeline", () => {
  it("is fresh from token to token", () => {
    const events = [25, 24.5, 23.5, 22.7].map((ago) => happened(hour(ago), "refreshed"));
    const line = timeline(work({ expires_at: hour(21.7) }), events, hour(24), hour(22));
    expect(line.spans).toEqual([{ from: hour(24), to: hour(22), is: "fresh" }]);
    expect(line.tokens.map((token) => token.from)).toEqual([hour(24.5), hour(23.5), hour(22.7)]);
    expect(line.refreshes).toBe(2);
    expect(line.stale).toBe(0);
  });

  it("is stale from a token's end to the next one", () => {
    const events = [happened(hour(5), "refreshed"), happened(hour(2), "refreshed")];
    const line = timeline(work({ expires_at: hour(1) }), events, hour(5), NOW);
    expect(line.spans).toEqual([
      { from: hour(5), to: hour(4), is: "fresh" },
      { from: hour(4), to: hour(2), is: "stale" },
      { from: hour(2), to: hour(1), is: "fresh" },
      { from: hour(1), to: NOW, is: "stale" },
    ]);
    expect(line.stale).toBe(3 * HOUR);
  });

  it("knows nothing of what was before", () => {
    const line = timeline(work(), [happened(hour(0.5), "signed-in")], hour(24), NOW);
    expect(line.spans.map((span) => span.is)).toEqual(["unknown", "fresh"]);
    expect(timeline(work(), [], hour(24), NOW).spans).toEqual([{ from: hour(24), to: NOW, is: "unknown" }]);
  });

  it("counts the retries of an outage until a refresh ends it", () => {
    const events = [
      happened(hour(6), "refreshed"),
      happened(hour(5.3), "refresh-failed", { problem: down, count: 3, last: hour(5.1) }),
      happened(hour(4.9), "refreshed"),
      happened(hour(4), "refresh-failed", { problem: down }),
    ];
    const line = timeline(work({ state: "waiting", expires_at: hour(3.9) }), events, hour(6), NOW);
    expect(line.outages).toEqual([
      { from: hour(5.3), to: hour(4.9), retries: [hour(5.3), hour(5.1)], count: 3, over: true },
      { from: hour(4), to: NOW, retries: [hour(4)], count: 1, over: false },
    ]);
    expect(line.spans[0]).toEqual({ from: hour(6), to: hour(5), is: "fresh" });
  });

  it("is over where the provider no longer accepts the session, and where its person signs out", () => {
    const refused = { code: "sign-in-needed", account: "work", why: "refused" } as const;
    const events = [
      happened(hour(8), "signed-in"),
      happened(hour(7.5), "refresh-failed", { problem: refused }),
      happened(hour(5), "signed-in"),
      happened(hour(4.5), "signed-out"),
    ];
    const line = timeline(work({ state: "signed-out", expires_at: null }), events, hour(8), NOW);
    expect(line.spans.map(({ is, to }) => [is, to])).toEqual([
      ["fresh", hour(7.5)],
      ["stale", hour(5)],
      ["fresh", hour(4.5)],
      ["out", NOW],
    ]);
    expect(line.outages).toEqual([]);
  });

  it("counts every hand-out that a row stands for", () => {
    const events = [
      happened(hour(2), "signed-in"),
      happened(hour(1), "handed-out", { count: 40, last: hour(0.9) }),
      happened(hour(0.5), "handed-out"),
    ];
    const line = timeline(work(), events, hour(24), NOW);
    expect(line.handOuts).toBe(41);
    expect(line.given).toEqual([hour(1), hour(0.9), hour(0.5)]);
    expect(line.moments.length).toBe(3);
    expect(nearest(line, hour(0.96))).toBe(1);
    expect(nearest(timeline(work(), [], hour(1), NOW), NOW)).toBeNull();
  });

  it("says what was left, and draws a line that empties and refills", () => {
    const events = [happened(hour(2), "refreshed"), happened(hour(1.25), "refreshed")];
    const line = timeline(work({ expires_at: hour(0.25) }), events, hour(2), hour(1));
    expect(leftAt(line, hour(1.5))).toBe(0.5);
    expect(leftAt(line, hour(3))).toBeNull();
    const { at, left } = corners(line, true);
    expect(left).toEqual([null, 1, 0.25, null, 1, 0.75, null, null]);
    expect(at.every((time, n) => n === 0 || time > at[n - 1]!)).toBe(true);
    expect(corners(line, false).left).toEqual([null, 1, 1, null, null]);
  });

  it("is made of a month's rows at once", () => {
    const events = Array.from({ length: 20_000 }, (_, n) =>
      happened(NOW - 30 * DAY + n * 129_000, n % 28 === 0 ? "refreshed" : "handed-out"),
    );
    const before = performance.now();
    const line = timeline(work(), events, NOW - 30 * DAY, NOW);
    expect(line.moments.length).toBe(20_000);
    expect(performance.now() - before).toBeLessThan(200);
  });
});
