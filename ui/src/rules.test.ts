import { expect, it } from "vitest";

const all = import.meta.glob<string>("./**/*.{ts,svelte,css}", {
  query: "?raw",
  import: "default",
  eager: true,
});
const shipped = Object.entries(all).filter(([path]) => !/\.test\.ts$|^\.\/(testing|generated)\//.test(path));
const where = (broken: (text: string) => boolean) =>
  shipped.filter(([, text]) => broken(text)).map(([path]) => path);

it("knows Tauri in one file alone", () =>
  expect(where((text) => text.includes("@tauri-apps"))).toEqual(["./backend.ts"]));

it("ships nothing that is for tests", () => expect(where((text) => text.includes("/testing/"))).toEqual([]));

it("renders no text as HTML", () =>
  expect(where((text) => /@html|innerHTML|insertAdjacentHTML|\beval\(/.test(text))).toEqual([]));

it("fetches nothing", () =>
  expect(where((text) => /https?:|@import|@font-face|\bfetch\(|url\((?!#)/.test(text))).toEqual([]));

it("keeps files small", () => expect(where((text) => text.split("\n").length > 250)).toEqual([]));
