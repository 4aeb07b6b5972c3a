import { describe, expect, it } from "vitest";
import { mendLanguage } from "./tongue";

const say = (language: string) => ({ language }) as Navigator;

describe("the window's language", () => {
  it("stays what it is where it is one", () => {
    for (const language of ["de-AT", "zh-Hant", "en"]) {
      const window = say(language);
      mendLanguage(window);
      expect(window.language).toBe(language);
    }
  });

  it("is English where it is the name of no language", () => {
    for (const language of ["C", "POSIX locale", ""]) {
      const window = say(language);
      mendLanguage(window);
      expect(new Intl.NumberFormat(window.language).format(1.5)).toBe("1.5");
    }
  });
});
