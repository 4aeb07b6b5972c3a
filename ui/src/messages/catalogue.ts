// What the catalogue says of its providers, in English. The first page has no word of it, and does not wait for it.
import catalogue from "../../../src-tauri/core/messages/catalogue.en.json";
import { english } from "./language.svelte";

Object.assign(english.catalogue, catalogue);
