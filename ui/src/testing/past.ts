// A past to look at: a month of refreshes, hand-outs and troubles of one account, the same every time.
import type { LastUse } from "../generated/LastUse";
import type { EventView } from "../generated/EventView";
import type { AccountView } from "../generated/AccountView";
import type { Settings } from "../model/settings";
import { account, DAY, event, HOUR, MINUTE } from "./houses";

const programs = ["/usr/bin/git", "/home/ada/bin/backup-photos", "/usr/lib/git-core/git-remote-https"];
const down = { code: "provider-trouble", host: "accounts.google.com", status: 503 } as const;

/** Of an account whose token lives for an hour and is refreshed after 50 minutes, the last time 17 minutes ago. */
export function past(now: number, days = 30): EventView[] {
  const events: EventView[] = [];
  const last = now - 17 * MINUTE;
  const step = 50 * MINUTE;
  const begun = now - Math.min(days, 12) * DAY;
  let turn = 0;
  events.push(event(begun, "signed-in"));
  for (let at = last - Math.floor((last - begun) / step) * step; at <= last; at += step) {
    turn++;
    const ago = now - at;
    // Once for two hours, this morning; once for a night, last week.
    if (ago > 6.2 * HOUR && ago < 8.4 * HOUR) {
      if (ago > 7.3 * HOUR)
        events.push(
          event(at, "refresh-failed", { problem: down }),
          event(at + 11 * MINUTE, "refresh-failed", { problem: down, count: 2, last: at + 38 * MINUTE }),
        );
      continue;
    }
    if (ago > 5 * DAY && ago < 5.4 * DAY) {
      if (turn % 4 === 0)
        events.push(event(at, "refresh-failed", { problem: down, count: 6, last: at + 50 * MINUTE }));
      continue;
    }
    events.push(event(at, "refreshed"));
    for (let n = 0; n < (turn * 7) % 4; n++)
      events.push(
        event(at + ((turn * 13 + n * 17) % 45) * MINUTE, "handed-out", {
          program: programs[(turn + n) % programs.length]!,
          count: 1 + ((turn + n) % 5),
        }),
      );
  }
  events.push(event(now - 3 * MINUTE, "handed-out", { program: "/usr/bin/git" }));
  return events.filter((one) => one.at <= now).toSorted((one, other) => one.at - other.at);
}

export const lastUses = (now: number): LastUse[] => [
  { account: "id-work", program: "/usr/bin/git", at: now - 3 * MINUTE },
  { account: "id-community", program: "/home/ada/bin/backup-photos", at: now - 5 * HOUR },
  { account: "id-mail", program: "/usr/bin/mbsync", at: now - 40 * 1000 },
  { account: "id-staging", program: "/usr/bin/kubectl", at: now - 2 * DAY },
];

/** As many as there are rows to scroll through. */
export function crowd(n: number): AccountView[] {
  const names = ["google", "discord", "microsoft", "github", "spotify", "keycloak"];
  return Array.from({ length: n }, (_, at) =>
    account(`account-${String(at + 1).padStart(4, "0")}`, {
      provider: names[at % names.length]!,
      email: `person${at + 1}@example.com`,
      expires_at: Date.now() + (3 + ((at * 7) % 56)) * MINUTE,
    }),
  );
}

export const settings: Settings = {
  start_at_login: true,
  start_hidden: true,
  theme: "system",
  language: "system",
  browser: "",
  notify: { sign_in: true, recovered: false, asks: true },
  idle_minutes: null,
  refresh_margin: null,
  hooks: {
    on_sign_in: [],
    on_sign_out: [],
    on_refresh: ["/home/ada/bin/reload-mail", "--quiet"],
    on_attention: [],
  },
  data: "/home/ada/.local/share/larder",
  config: "/home/ada/.config/larder/config.toml",
  store: "Secret Service",
};
