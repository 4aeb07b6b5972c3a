import { locale, t } from "../messages";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A length of time with seconds, for what ends soon. */
export function exactly(ms: number): string {
  const all = Math.max(0, Math.ceil(ms / SECOND));
  const min = Math.floor(all / 60);
  const s = all % 60;
  return min === 0 ? t("time.seconds", { s }) : t("time.minutes-seconds", { min, s });
}

/** A length of time in words, rounded down: Larder never promises more than there is. */
export function span(ms: number): string {
  if (ms < 2 * MINUTE) return exactly(Math.floor(ms / SECOND) * SECOND);
  const d = Math.floor(ms / DAY);
  const h = Math.floor((ms % DAY) / HOUR);
  const min = Math.floor((ms % HOUR) / MINUTE);
  if (d > 0) return h === 0 ? t("time.days", { d }) : t("time.days-hours", { d, h });
  if (h > 0) return min === 0 ? t("time.hours", { h }) : t("time.hours-minutes", { h, min });
  return t("time.minutes", { min });
}

export const until = (at: number, now: number) =>
  at <= now ? t("time.now") : t("time.in", { time: span(at - now) });

export function since(at: number, now: number): string {
  const past = now - at;
  if (past < MINUTE) return t("time.just-now");
  // "1 min 24 s ago" would tick for nobody's benefit.
  const time = past < 2 * MINUTE ? t("time.minutes", { min: 1 }) : span(past);
  return past < DAY ? t("time.ago", { time }) : day(at, now);
}

/** A way of writing dates, made once for each language: making one takes longer than using it. */
function written(options: Intl.DateTimeFormatOptions): (at: number) => string {
  const made = new Map<string, Intl.DateTimeFormat>();
  return (at) => {
    const language = locale();
    let format = made.get(language);
    if (!format) made.set(language, (format = new Intl.DateTimeFormat(language, options)));
    return format.format(at);
  };
}
/** The time of day as ISO 8601 has it, which every language here reads. The first page says it, and the engine's own way of
 * writing it takes 30 ms to be made. */
export function clockTime(at: number): string {
  const moment = new Date(at);
  return [moment.getHours(), moment.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
}
export const dayMonth = written({ day: "numeric", month: "short" });
const dayMonthYear = written({ day: "numeric", month: "short", year: "numeric" });

const midnight = (at: number) => new Date(at).setHours(0, 0, 0, 0);

/** The day something happened on, as a heading. */
export function day(at: number, now: number): string {
  // Rounded, for a day on which clocks change has 23 or 25 hours.
  const ago = Math.round((midnight(now) - midnight(at)) / DAY);
  if (ago === 0) return t("time.today");
  if (ago === 1) return t("time.yesterday");
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return (sameYear ? dayMonth : dayMonthYear)(at);
}

export const dayAndTime = (at: number, now: number) =>
  midnight(at) === midnight(now) ? t("time.today-at", { time: clockTime(at) }) : day(at, now);

/** A moment, to the minute. */
export const dayAndClock = (at: number, now: number) =>
  midnight(at) === midnight(now)
    ? clockTime(at)
    : t("time.day-at", { day: day(at, now), time: clockTime(at) });
