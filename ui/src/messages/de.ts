import problems from "../../../src-tauri/core/messages/de.json";
import window from "./de.json";
import { english, type Words } from "./language.svelte";

/** What the catalogue says of its providers is English still: it quotes their pages, which are. */
export const german: Words = { locale: "de-DE", window, problems, catalogue: english.catalogue };
