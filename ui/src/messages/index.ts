import catalogue from "../../../src-tauri/core/messages/catalogue.en.json";
import problems from "../../../src-tauri/core/messages/en.json";
import type { Problem } from "../generated/Problem";
import en from "./en.json";

/** The language of the words; dates and plurals follow it. */
export const LOCALE = "en-GB";

export type Key = keyof typeof en;
type PluralKey = Key extends infer K ? (K extends `${infer Base}.other` ? Base : never) : never;
type Params = Record<string, string | number>;

const fill = (template: string, params: Params) =>
  template.replace(/\{(\w+)\}/g, (hole, name: string) => String(params[name] ?? hole));

export const t = (key: Key, params: Params = {}) => fill(en[key], params);

const rules = new Intl.PluralRules(LOCALE);
export function plural(key: PluralKey, n: number): string {
  const exact = `${key}.${rules.select(n)}`;
  return t(exact in en ? (exact as Key) : `${key}.other`, { n });
}

/** Words for a scope, where they are known. */
export function scopeWords(scope: string): string | null {
  const key = `scope.${scope}`;
  return key in en ? t(key as Key) : null;
}

/** What the catalogue says of a provider; its words are the agent's, as a problem's are. */
export const catalogueWords = (key: string): string => (catalogue as Record<string, string>)[key] ?? key;

export interface Piece {
  text: string;
  code: boolean;
}

function template(problem: Problem): string {
  const all: Record<string, string> = problems;
  const why = "why" in problem ? all[`problem.${problem.code}.${problem.why}`] : undefined;
  return why ?? all[`problem.${problem.code}`] ?? problem.code;
}

/** The sentence for a problem. What stands between backticks is a command, and is cut out before any parameter is filled in. */
export function sentence(problem: Problem): Piece[] {
  const { code: _, ...params } = problem;
  return template(problem)
    .split("`")
    .map((part, at) => ({ text: fill(part, params as Params), code: at % 2 === 1 }))
    .filter((piece) => piece.text !== "");
}

export const plainSentence = (problem: Problem) =>
  sentence(problem)
    .map((piece) => piece.text)
    .join("");
