/** The longest text of somebody else's that is shown at once, in characters. */
const MOST = 400;

// What a reader does not see and the line does: controls, what turns the direction of writing (Unicode Standard Annex 9),
// joiners and spaces of no width, separators of lines, tags, and what stands for nothing.
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0]/gu;

const numbered = (one: string) =>
  `‹U+${(one.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}›`;

function cut(text: string, most: number): string {
  // Most are short, and never have more characters than units.
  if (text.length <= most) return text;
  const letters = [...text];
  return letters.length > most ? `${letters.slice(0, most).join("")}…` : text;
}

/** What others wrote, to be read as it is: what cannot be seen is named by its number, and what has no end is cut. */
export function visible(text: string, most = MOST): string {
  return cut(text, most).replace(UNSEEN, numbered);
}

// What would turn, break or hide a part of the line that a name stands in. Joiners and variants stay: scripts and emoji are
// written with them.
const TURNING =
  /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;

/** A name, as it stands among other words: what would make those read otherwise is named by its number. */
export const steady = (text: string, most = MOST): string => cut(text, most).replace(TURNING, numbered);

/** What a provider is called, which it says itself: no longer than an account's label may be. */
export const titled = (text: string): string => steady(text, 64);
