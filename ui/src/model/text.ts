/** The longest text of somebody else's that is shown at once, in characters. */
const MOST = 400;

// What a reader does not see and the line does: controls, what turns the direction of writing (Unicode Standard Annex 9),
// joiners and spaces of no width, separators of lines, tags, and what stands for nothing.
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0]/gu;

/** What others wrote, to be read as it is: what cannot be seen is named by its number, and what has no end is cut. */
export function visible(text: string, most = MOST): string {
  const letters = [...text];
  const cut = letters.length > most ? `${letters.slice(0, most).join("")}…` : text;
  return cut.replace(
    UNSEEN,
    (one) => `‹U+${(one.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}›`,
  );
}
