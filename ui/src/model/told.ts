// What a command says once it is done, where that cannot be seen by itself.
import type { Tested } from "../backend";
import { plural, t } from "../messages";

export interface Done {
  text: string;
  /** Beside it, a path that can be copied. */
  path: string | null;
  good: boolean;
}

/** The first status that says no, and the one that says it of the token (RFC 9110, section 15.5). */
const FIRST_ERROR = 400;
const UNAUTHORIZED = 401;

export const doneOf = {
  test({ host, status, ms }: Tested): Done {
    const key =
      status === UNAUTHORIZED
        ? "told.rejected"
        : status >= FIRST_ERROR
          ? "told.answered-badly"
          : "told.answered";
    return { text: t(key, { host, status, ms }), path: null, good: status < FIRST_ERROR };
  },
  saved: (path: string): Done => ({ text: t("told.saved"), path, good: true }),
  exported: (path: string): Done => ({ text: t("told.exported"), path, good: true }),
  imported: (n: number): Done => ({ text: plural("told.imported", n), path: null, good: true }),
};
