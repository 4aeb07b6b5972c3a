// How the window looks: the system's light or dark and its contrast, unless its person chose.
import type { Theme } from "./settings";

/** Follows the choice, and the system where that is the choice, until called again. */
export function dress(theme: Theme, root: HTMLElement = document.documentElement): void {
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  else delete root.dataset.theme;

  const wanted = globalThis.matchMedia?.("(prefers-contrast: more)");
  const follow = () => {
    if (theme === "contrast" || wanted?.matches) root.dataset.contrast = "more";
    else delete root.dataset.contrast;
    dispatchEvent(new Event(DRESSED));
  };
  if (wanted) wanted.onchange = follow;
  follow();
}

/** Told to the window when its colours may have changed: what is painted by hand is painted anew. */
export const DRESSED = "larder-dressed";
