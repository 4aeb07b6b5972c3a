import type { Problem } from "../generated/Problem";
import type { ProviderHelp } from "../generated/ProviderHelp";
import type { ReportLine } from "../generated/ReportLine";
import { steady, visible } from "../model/text";
import { locale, words, type Key } from "./language.svelte";

export { locale, type Key };
type PluralKey = Key extends infer K ? (K extends `${infer Base}.other` ? Base : never) : never;
type Params = Record<string, string | number>;

/** Whatever is put into a sentence of ours, the rest of it reads as it was written. */
const fill = (template: string, params: Params) =>
  template.replace(/\{(\w+)\}/g, (hole, name: string) => steady(String(params[name] ?? hole)));

export const t = (key: Key, params: Params = {}) => fill(words().window[key], params);

export function plural(key: PluralKey, n: number): string {
  const exact = `${key}.${new Intl.PluralRules(locale()).select(n)}`;
  return t(exact in words().window ? (exact as Key) : `${key}.other`, { n });
}

/** Words for a scope, where they are known. */
export function scopeWords(scope: string): string | null {
  const key = `scope.${scope}`;
  return key in words().window ? t(key as Key) : null;
}

/** What a scope means, where that is known; the catalogue says it of the scopes of its providers. */
export function scopeMeaning(scope: string, help: ProviderHelp | null | undefined): string | null {
  const meaning = help?.scopes.find((one) => one.scope === scope)?.meaning;
  return scopeWords(scope) ?? (meaning === undefined ? null : catalogueWords(meaning).replace(/\.$/, ""));
}

/** What the catalogue says of a provider; its words are the agent's, as a problem's are. */
export const catalogueWords = (key: string): string =>
  words().catalogue[key] ?? (key in words().window ? t(key as Key) : key);

export interface Piece {
  text: string;
  code: boolean;
}

function template(problem: Problem): string {
  const all = words().problems;
  const why = "why" in problem ? all[`problem.${problem.code}.${problem.why}`] : undefined;
  return why ?? all[`problem.${problem.code}`] ?? problem.code;
}

/** The sentence for a problem. What stands between backticks is a command, and is cut out before any parameter is filled in. */
export function sentence(problem: Problem): Piece[] {
  const { code: _, ...params } = problem;
  return pieces(template(problem), params as Params);
}

const pieces = (words: string, params: Params): Piece[] =>
  words
    .split("`")
    .map((part, at) => ({ text: fill(part, params), code: at % 2 === 1 }))
    .filter((piece) => piece.text !== "");

/** What the provider itself said of it: the part of a problem that its own sentence leaves out, to stand beneath it. */
export function saidByProvider(problem: Problem): string | null {
  if (!("detail" in problem) || problem.detail === "") return null;
  return template(problem).includes("{detail}") ? null : visible(problem.detail);
}

/** A line of what was found out about a provider, in the agent's words. */
export function reportLine(line: ReportLine): Piece[] {
  if (line.problem) return sentence(line.problem);
  return pieces(words().problems[line.key] ?? line.key, { value: visible(line.value) });
}

export const plainSentence = (problem: Problem) =>
  sentence(problem)
    .map((piece) => piece.text)
    .join("");
