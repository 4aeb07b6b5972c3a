// The words of the language that is spoken now. What a component says follows a change at once.
import problems from "../../../src-tauri/core/messages/en.json";
import en from "./en.json";

export type Key = keyof typeof en;
export const languages = ["en", "de"] as const;
export type Language = (typeof languages)[number];

export interface Words {
  /** What dates, plurals and the order of words follow. */
  locale: string;
  window: Record<Key, string>;
  /** The agent's: sentences for problems, lines of reports. */
  problems: Record<string, string>;
  /** What the catalogue says of its providers: in English it comes with the pages that say it. */
  catalogue: Record<string, string>;
}

export const english: Words = { locale: "en-GB", window: en, problems, catalogue: {} };

// Any other language comes when it is wanted: it would only be in the way of the first paint.
const loaded: Record<Language, () => Promise<Words>> = {
  en: async () => english,
  de: async () => (await import("./de")).german,
};

let spoken: Words = $state.raw(english);

export const words = (): Words => spoken;
export const locale = (): string => spoken.locale;

/** Speaks a language from now on. */
export async function speak(language: Language): Promise<void> {
  spoken = await loaded[language]();
  document.documentElement.lang = language;
}

/** The first of its person's languages that there are words for; English where there is none. */
export function systemLanguage(preferred: readonly string[] = navigator.languages): Language {
  const known = preferred.map((one) => one.toLowerCase().split("-")[0]);
  return known.map((one) => languages.find((language) => language === one)).find(Boolean) ?? "en";
}
