import { describe, expect, it } from "vitest";
import { visible } from "./text";

describe("what others wrote", () => {
  it("is shown as it is where it can be seen", () => {
    for (const text of ["/usr/bin/git", "Zoë 漢字 עברית", "a & <b>", ""]) expect(visible(text)).toBe(text);
  });

  it("has nothing that a reader does not see", () => {
    expect(visible("a\u202egpj.exe")).toBe("a‹U+202E›gpj.exe");
    expect(visible("\u001b[2J\n\t\u200b\u2066x\u{e0041}")).toBe(
      "‹U+001B›[2J‹U+000A›‹U+0009›‹U+200B›‹U+2066›x‹U+E0041›",
    );
    expect(visible("\u3164\ufeff\u2028")).toBe("‹U+3164›‹U+FEFF›‹U+2028›");
  });

  it("has an end", () => {
    expect(visible("x".repeat(10_000), 20)).toBe(`${"x".repeat(20)}…`);
    expect(visible("👩".repeat(3), 2)).toBe("👩👩…");
  });
});
