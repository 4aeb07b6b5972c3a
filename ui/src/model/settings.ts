// What its person decides on the page Settings. The names are those of config.toml.

import type { Hooks } from "../generated/Hooks";
import type { Language as LanguageChoice } from "../generated/Language";
import type { Notify } from "../generated/Notify";
import type { Theme } from "../generated/Theme";

export type { Hooks, LanguageChoice, Notify, Theme };

export interface Settings {
  start_at_login: boolean;
  start_hidden: boolean;
  theme: Theme;
  language: LanguageChoice;
  /** A command line, its words joined by spaces; empty is the system's own browser. */
  browser: string;
  notify: Notify;
  /** In percent of a token's lifetime, 15 to 50; null is Larder's own choice. */
  refresh_margin: number | null;
  /** After so many minutes without input nothing is handed out any more; null is never. */
  idle_minutes: number | null;
  hooks: Hooks;
  /** The folder with everything that is kept. */
  readonly data: string;
  /** Where config.toml is. */
  readonly config: string;
  /** What keeps the keys. */
  readonly store: string;
}

export type SettingsChange = Partial<Omit<Settings, "data" | "config" | "store">>;
