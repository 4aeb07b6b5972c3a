// Turns what happened to an account into what its timeline shows: when its token was fresh and when not, what was in the
// way, and who was given it. Nothing here draws.
import type { AccountView } from "../generated/AccountView";
import type { EventKind } from "../generated/EventKind";
import type { EventView } from "../generated/EventView";

/** One token, from its coming to its end or to the next one's coming. */
export interface Token {
  from: number;
  /** When it ends by itself; null where the provider does not say. */
  ends: number | null;
  /** Until when it was the one: the next token, its end, a sign-out, or now. */
  until: number;
}

export interface Span {
  from: number;
  to: number;
  /** `out` is signed out; of `unknown` nothing is written down. */
  is: "fresh" | "stale" | "out" | "unknown";
}

/** A time in which refreshes failed, and went on being tried. */
export interface Outage {
  from: number;
  to: number;
  retries: number[];
  /** How often in all: one row may stand for several. */
  count: number;
  /** Whether a refresh ended it. */
  over: boolean;
}

export interface Timeline {
  from: number;
  to: number;
  tokens: Token[];
  spans: Span[];
  outages: Outage[];
  /** When programs were given a token. */
  given: number[];
  /** What can be pointed at, the oldest first. */
  moments: EventView[];
  refreshes: number;
  handOuts: number;
  /** For how long there was no fresh token, in ms. */
  stale: number;
}

const brings: readonly EventKind[] = ["signed-in", "refreshed", "imported"];
const ends: readonly EventKind[] = ["signed-out", "exported"];
/** What a person can point at; the rest belongs to the page Activity. */
const pointed: readonly EventKind[] = [
  ...brings,
  ...ends,
  "refresh-failed",
  "unsaved",
  "handed-out",
  "refused",
  "revoked",
  "revocation-failed",
];
/** What does not pass by itself: there is no use in trying again. */
const lasting = ["sign-in-needed", "client-refused", "secret-needed", "scope-refused"];

/**
 * What the time from `from` to `to` was like. `events` are those of the account, the oldest first, from one lifetime
 * before `from` on, so that the token of the beginning is among them.
 * Tokens of the past are taken to have lived as long as the present one does: how long is not written down.
 */
export function timeline(account: AccountView, events: EventView[], from: number, to: number): Timeline {
  const known = events.filter((event) => event.at <= to);
  const tokens: Token[] = [];
  const spans: Span[] = [];
  const outages: Outage[] = [];
  let token: Token | null = null;
  let outage: Outage | null = null;
  let since = from;
  let is: Span["is"] = "unknown";

  const close = (at: number, next: Span["is"]) => {
    add(spans, { from: since, to: at, is }, from, to);
    [since, is] = [at, next];
  };
  /** What has ended by itself before `at` was stale from then on. */
  const run = (at: number) => {
    if (is === "fresh" && token?.ends != null && token.ends < at) close(token.ends, "stale");
    if (token) token.until = Math.min(at, token.ends ?? at);
  };
  const endOutage = (at: number, over: boolean) => {
    if (outage) Object.assign(outage, { to: at, over });
    outage = null;
  };

  for (const event of known) {
    if (brings.includes(event.kind)) {
      run(event.at);
      close(event.at, "fresh");
      endOutage(event.at, true);
      token = { from: event.at, ends: endOf(account, event.at, known), until: to };
      tokens.push(token);
    } else if (ends.includes(event.kind)) {
      run(event.at);
      close(event.at, "out");
      endOutage(event.at, false);
      token = null;
    } else if (event.kind === "refresh-failed") {
      const last = event.last ?? event.at;
      if (event.problem && lasting.includes(event.problem.code)) {
        run(event.at);
        close(event.at, "stale");
        endOutage(event.at, false);
        token = null;
      } else if (outage === null) {
        outage = { from: event.at, to: last, retries: [], count: 0, over: false };
        outages.push(outage);
      }
      if (outage) {
        outage.to = Math.max(outage.to, last);
        outage.retries.push(event.at, ...(event.last === null ? [] : [event.last]));
        outage.count += event.count;
      }
    }
  }
  if (outage && account.state === "waiting") outage.to = to;
  run(to);
  close(to, is);

  const moments = known.filter((event) => event.at >= from && pointed.includes(event.kind));
  const handOuts = moments.filter((event) => event.kind === "handed-out");
  return {
    from,
    to,
    tokens: tokens.filter((one) => one.until > from && one.until > one.from),
    spans,
    outages: outages.filter((one) => one.to >= from),
    given: handOuts.flatMap((event) => (event.last === null ? [event.at] : [event.at, event.last])),
    moments,
    refreshes: moments.filter((event) => event.kind === "refreshed").length,
    handOuts: handOuts.reduce((sum, event) => sum + event.count, 0),
    stale: spans.filter((one) => one.is === "stale").reduce((sum, one) => sum + one.to - one.from, 0),
  };
}

function endOf(account: AccountView, at: number, known: EventView[]): number | null {
  const newest = known.findLast((event) => brings.includes(event.kind));
  if (newest?.at === at && account.expires_at !== null) return account.expires_at;
  return account.lifetime === null ? null : at + account.lifetime;
}

/** Adds what of a span is in sight, and makes one of two that are alike. */
function add(spans: Span[], span: Span, from: number, to: number): void {
  const seen = { ...span, from: Math.max(span.from, from), to: Math.min(span.to, to) };
  if (seen.to <= seen.from) return;
  const last = spans.at(-1);
  if (last?.is === seen.is && last.to === seen.from) last.to = seen.to;
  else spans.push(seen);
}

/** How much of the token's life was left at a time, 0 to 1; null where there was no token. */
export function leftAt(line: Timeline, at: number): number | null {
  const token = line.tokens.findLast((one) => one.from <= at);
  if (!token || at > token.until) return null;
  if (token.ends === null) return 1;
  return Math.max(0, (token.ends - at) / (token.ends - token.from));
}

/** The moment that is nearest to a time, and its place among all. */
export function nearest(line: Timeline, at: number): number | null {
  let best: number | null = null;
  line.moments.forEach((moment, index) => {
    const other = best === null ? undefined : line.moments[best];
    if (!other || Math.abs(moment.at - at) <= Math.abs(other.at - at)) best = index;
  });
  return best;
}

/** The corners of the line that empties and refills: times, and what was left at each; null where there is nothing. */
export function corners(line: Timeline, apart: boolean): { at: number[]; left: (number | null)[] } {
  const at: number[] = [];
  const left: (number | null)[] = [];
  const corner = (time: number, value: number | null) => {
    // Two at one time are not told apart by what draws them; the later one stands a little beside.
    const last = at.at(-1);
    at.push(last !== undefined && time <= last ? last + 0.001 : time);
    left.push(value);
  };
  corner(line.from, null);
  if (apart)
    for (const token of line.tokens) {
      const from = Math.max(token.from, line.from);
      corner(from, leftOf(token, from));
      corner(token.until, leftOf(token, token.until));
      corner(token.until, null);
    }
  else
    for (const span of line.spans.filter((one) => one.is === "fresh")) {
      corner(span.from, 1);
      corner(span.to, 1);
      corner(span.to, null);
    }
  corner(line.to, null);
  return { at, left };
}

const leftOf = (token: Token, at: number): number =>
  token.ends === null ? 1 : Math.max(0, (token.ends - at) / (token.ends - token.from));
