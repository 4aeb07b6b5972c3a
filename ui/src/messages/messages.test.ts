import { afterEach, describe, expect, it } from "vitest";
import problemsDe from "../../../src-tauri/core/messages/de.json";
import catalogueDe from "../../../src-tauri/core/messages/catalogue.de.json";
import catalogue from "../../../src-tauri/core/messages/catalogue.en.json";
import problems from "../../../src-tauri/core/messages/en.json";
import problemType from "../generated/Problem.ts?raw";
import whyType from "../generated/Why.ts?raw";
import de from "./de.json";
import en from "./en.json";
import { speak, systemLanguage } from "./language.svelte";
import { dayMonth } from "../model/time";
import { catalogueWords, plainSentence, plural, sentence, t } from ".";

const sources = Object.values(
  import.meta.glob<string>(
    ["../**/*.{ts,svelte}", "!../**/*.test.ts", "!../testing/**", "!../generated/**"],
    {
      query: "?raw",
      import: "default",
      eager: true,
    },
  ),
).join("\n");
const keys = Object.keys(en);

describe("the window's own words", () => {
  it("has a word for every key that is used", () => {
    const used = [...sources.matchAll(/\bt\(\s*"([^"]+)"/g)].map((found) => found[1]);
    expect(used.length).toBeGreaterThan(50);
    expect(used.filter((key) => !keys.includes(key!))).toEqual([]);
  });

  it("has no word that is not used", () => {
    const prefixes = [...sources.matchAll(/`([a-z]+[a-z.-]*[.-])\$\{/g)].map((found) => found[1]!);
    const unused = keys.filter((key) => {
      const base = key.replace(/\.(zero|one|two|few|many|other)$/, "");
      return (
        !sources.includes(`"${key}"`) &&
        !sources.includes(`plural("${base}"`) &&
        !prefixes.some((prefix) => key.startsWith(prefix))
      );
    });
    expect(unused).toEqual([]);
  });

  it("fills in parameters, and takes nothing else for one", () => {
    expect(t("time.minutes", { min: 4 })).toBe("4 min");
    expect(t("accounts.none-found", { query: "{query} $& <b>" })).toBe(
      "No account matches “{query} $& <b>”.",
    );
    expect(plural("sign-in.count", 1)).toBe("1 provider");
    expect(plural("sign-in.count", 0)).toBe("0 providers");
  });
});

describe("the sentences for problems", () => {
  const whys = [...whyType.matchAll(/"([a-z-]+)"/g)].map((found) => found[1]!);
  const variants = [...problemType.matchAll(/\{ "code": "([a-z-]+)"([^}]*)\}/g)];

  it("are there for every code", () => {
    expect(variants.length).toBeGreaterThan(40);
    const known: Record<string, string> = problems;
    const expected = variants.flatMap(([, code, rest]) =>
      rest?.includes("why: Why") ? whys.map((why) => `problem.${code}.${why}`) : [`problem.${code}`],
    );
    expect(expected.filter((key) => !known[key])).toEqual([]);
  });

  it("cut out commands before they fill in what a person wrote", () => {
    expect(sentence({ code: "no-such-account", account: "a`b`" })).toEqual([
      { text: "There is no account “a`b`”; ", code: false },
      { text: "larder accounts", code: true },
      { text: " lists them.", code: false },
    ]);
    expect(plainSentence({ code: "sign-in-needed", account: "mail", why: "refused" })).toMatch(
      /^mail: the provider no longer accepts/,
    );
  });
});

describe("every language", () => {
  afterEach(() => speak("en"));

  const holes = (text: string) => [...new Set(text.match(/\{\w+\}/g))].toSorted();
  const commands = (text: string) => (text.match(/`[^`]*`/g) ?? []).toSorted();

  it.each([
    ["the window's own words", en, de],
    ["the sentences for problems", problems, problemsDe],
    ["what the catalogue says of its providers", catalogue, catalogueDe],
  ])("has %s, with the same parameters and commands", (_, one: Record<string, string>, other) => {
    const their: Record<string, string> = other;
    expect(Object.keys(their)).toEqual(Object.keys(one));
    const differs = (key: string) =>
      String(holes(one[key]!)) !== String(holes(their[key]!)) ||
      String(commands(one[key]!)) !== String(commands(their[key]!));
    expect(Object.keys(one).filter(differs)).toEqual([]);
  });

  it("quotes the pages of providers as they are", () => {
    const english = (text: string) => [...text.matchAll(/“([^”]*)”/g)].map((found) => found[1]).toSorted();
    const german = (text: string) => [...text.matchAll(/„([^“]*)“/g)].map((found) => found[1]).toSorted();
    const their: Record<string, string> = catalogueDe;
    const differs = ([key, text]: [string, string]) => String(english(text)) !== String(german(their[key]!));
    expect(Object.entries(catalogue).filter(differs)).toEqual([]);
  });

  it("is spoken once it is chosen: words, plurals, dates and problems", async () => {
    await speak("de");
    expect(t("nav.accounts")).toBe("Konten");
    expect(plural("programs.count", 1)).toBe("1 Regel");
    expect(plainSentence({ code: "keychain-locked" })).toMatch(/^Der Schlüsselbund ist verschlossen/);
    expect(catalogueWords("catalogue.google.scope.https://www.googleapis.com/auth/gmail.readonly")).toBe(
      "E-Mails lesen.",
    );
    expect(dayMonth(new Date(2026, 2, 5).getTime())).toBe("5. März");
    expect(document.documentElement.lang).toBe("de");
  });

  it("is the system's, as far as there are words for it", () => {
    expect(systemLanguage(["fr-FR", "de-AT", "en"])).toBe("de");
    expect(systemLanguage(["en-US", "de"])).toBe("en");
    expect(systemLanguage(["fr"])).toBe("en");
    expect(systemLanguage([])).toBe("en");
  });
});
