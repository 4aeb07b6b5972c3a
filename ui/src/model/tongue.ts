// Where a desktop speaks no language (the C locale), WebKitGTK gives the locale's name as one. Nothing that formats takes it (RFC
// 5646 knows no language of one letter), and what draws asks for the window's language as soon as it is loaded: it would not load.

/** Whether this can be a language. */
function isLanguage(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length === 1;
  } catch {
    return false;
  }
}

/** Has the window say that its language is English where it would say what is none. */
export function mendLanguage(of: Navigator = navigator): void {
  if (!isLanguage(of.language)) Object.defineProperty(of, "language", { value: "en", configurable: true });
}

mendLanguage();
