import { describe, expect, it } from "vitest";
import { DAY, HOUR, MINUTE, SECOND } from "../testing/houses";
import { day, exactly, since, span, until } from "./time";

describe("a length of time in words", () => {
  it.each([
    [42 * MINUTE + 59 * SECOND, "42 min"],
    [2 * MINUTE, "2 min"],
    [MINUTE + 24 * SECOND, "1 min 24 s"],
    [MINUTE + 24 * SECOND + 999, "1 min 24 s"],
    [59 * SECOND, "59 s"],
    [0, "0 s"],
    [-5 * SECOND, "0 s"],
    [3 * HOUR + 12 * MINUTE, "3 h 12 min"],
    [3 * HOUR, "3 h"],
    [6 * DAY + 3 * HOUR + 30 * MINUTE, "6 d 3 h"],
    [7 * DAY, "7 d"],
  ])("%i ms is %s", (ms, words) => expect(span(ms)).toBe(words));

  it("counts seconds where something ends soon", () =>
    expect(exactly(9 * MINUTE + 41 * SECOND)).toBe("9 min 41 s"));

  it("says when", () => {
    expect(until(0, 0)).toBe("now");
    expect(until(4 * MINUTE, 0)).toBe("in 4 min");
    expect(since(0, 20 * SECOND)).toBe("just now");
    expect(since(0, 100 * SECOND)).toBe("1 min ago");
  });

  it("names days by the calendar, not by 24 hours", () => {
    const morning = new Date(2026, 2, 10, 0, 5).getTime();
    expect(day(morning - 10 * MINUTE, morning)).toBe("Yesterday");
    expect(day(morning, morning + 20 * HOUR)).toBe("Today");
    expect(day(new Date(2026, 1, 1).getTime(), morning)).toBe("1 Feb");
    expect(day(new Date(2024, 1, 1).getTime(), morning)).toBe("1 Feb 2024");
  });
});
