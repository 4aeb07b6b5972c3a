import type { AskingProgram } from "../generated/AskingProgram";
import { t } from "../messages";
import { visible } from "./text";

/** So much of a program's name stands in a sentence. */
const MOST_NAME = 32;
/** So many arguments are shown, and so much of each. */
const MOST_ARGUMENTS = 24;
const MOST_ARGUMENT = 160;

/** What a program is called: the last part of its path, which it chose itself. */
export function programName(path: string, most = MOST_NAME): string {
  if (path === "") return t("prompt.unknown");
  if (path === "*") return t("programs.every");
  return visible(path.replace(/\/+$/, "").split("/").at(-1) || path, most);
}

/** Each argument by itself, so that none can pretend to be two; and how many are left out. */
export function shownArguments(all: AskingProgram["arguments"]): { shown: string[]; more: number } {
  const shown = all.slice(0, MOST_ARGUMENTS).map((one) => visible(one, MOST_ARGUMENT));
  return { shown, more: all.length - shown.length };
}
