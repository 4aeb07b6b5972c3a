// The settings as they stand, changed one at a time and at once.
import type { Backend } from "../backend";
import { languages, speak, systemLanguage } from "../messages/language.svelte";
import { dress } from "./appearance";
import type { Larder } from "./larder.svelte";
import type { LanguageChoice, Settings, SettingsChange, Theme } from "./settings";

/** Has the window look and speak as was chosen. */
export async function follow(chosen: { theme: Theme; language: LanguageChoice }): Promise<void> {
  dress(chosen.theme);
  const known = languages.find((one) => one === chosen.language);
  await speak(known ?? systemLanguage());
}

/** What was chosen; what the system says where that cannot be told. */
export async function followChosen(backend: Backend): Promise<void> {
  const chosen = backend.beginning()?.chosen ?? (await backend.settings().catch(() => null));
  await follow(chosen ?? { theme: "system", language: "system" });
}

export class Chosen {
  now: Settings | null = $state.raw(null);

  constructor(private readonly larder: Larder) {}

  async load(): Promise<void> {
    await this.larder.run(async () => {
      this.now = await this.larder.backend.settings();
    });
  }

  /** What it looks like is seen before it is written down, and taken back where it cannot be. */
  async change(change: SettingsChange): Promise<void> {
    const before = this.now;
    if (!before) return;
    const seen = "theme" in change || "language" in change;
    this.now = { ...before, ...change };
    if (seen) await follow(this.now);
    const saved = await this.larder.succeeds(async () => {
      this.now = await this.larder.backend.changeSettings(change);
    });
    if (saved) return;
    this.now = before;
    if (seen) await follow(before);
  }
}
