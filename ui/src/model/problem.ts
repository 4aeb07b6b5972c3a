import type { Problem } from "../generated/Problem";

/** Commands reject with a `Problem`; anything else (a command that is missing, a bug) is named as what it is. */
export function asProblem(refused: unknown): Problem {
  if (typeof refused === "object" && refused !== null && "code" in refused) return refused as Problem;
  return { code: "internal", detail: refused instanceof Error ? refused.message : String(refused) };
}
