import catalogue from "../../../src-tauri/core/messages/catalogue.de.json";
import problems from "../../../src-tauri/core/messages/de.json";
import window from "./de.json";
import type { Words } from "./language.svelte";

/** What the catalogue quotes of its providers' pages stays English, as those pages are. */
export const german: Words = { locale: "de-DE", window, problems, catalogue };
