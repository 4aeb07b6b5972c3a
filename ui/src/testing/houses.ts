// Houses to look at and to test with. Never part of what is shipped.
import catalogue from "../../../src-tauri/core/messages/catalogue.en.json";
import type { AccountView } from "../generated/AccountView";
import type { Policy } from "../backend";
import type { AskingProgram } from "../generated/AskingProgram";
import type { AttemptView } from "../generated/AttemptView";
import type { EventView } from "../generated/EventView";
import type { HouseView } from "../generated/HouseView";
import type { PromptView } from "../generated/PromptView";
import type { ProviderHelp } from "../generated/ProviderHelp";
import type { ProviderView } from "../generated/ProviderView";
import type { ReportLine } from "../generated/ReportLine";

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export function account(label: string, change: Partial<AccountView> = {}): AccountView {
  const now = Date.now();
  return {
    id: `id-${label}`,
    label,
    provider: "demo",
    issuer: "http://127.0.0.1:8917",
    name: "Ada Lovelace",
    email: "ada@example.com",
    scopes: ["openid", "profile", "email", "offline_access"],
    state: "fresh",
    expires_at: now + 42 * MINUTE + 30 * SECOND,
    lifetime: HOUR,
    refresh_at: now + 36 * MINUTE + 30 * SECOND,
    refreshed_at: now - 17 * MINUTE,
    signed_in_at: now - 12 * DAY,
    session_ends_at: null,
    problem: null,
    undo_until: null,
    browser_sign_out: false,
    grant_type: "authorization-code",
    ...change,
  };
}

export function provider(name: string, title: string, issuer: string, demo = false): ProviderView {
  return {
    name,
    title,
    issuer,
    client_id: "larder",
    scopes: ["openid", "email", "offline_access"],
    redirects: ["deep-link", "loopback"],
    demo,
    ready: true,
    secret: "not-needed",
    help: null,
  };
}

/** A provider of the catalogue of which everybody has an own server. */
export function mastodon(): ProviderView {
  return {
    ...provider("mastodon", "Mastodon", ""),
    client_id: "",
    ready: false,
    secret: "missing",
    help: {
      register: "https://example.com/settings/applications/new",
      redirect: "dev.larder.desktop:/callback",
      steps: [1, 2].map((at) => `catalogue.mastodon.step-${at}`),
      usable: "secret",
      why: "catalogue.mastodon.usable",
      verified: false,
      server: { label: "catalogue.mastodon.server", example: "https://mastodon.social", value: null },
      scopes: [],
    },
  };
}

/** A provider of the catalogue whose client its person has not registered yet. */
export function unregistered(name: "google" | "discord"): ProviderView {
  const google = name === "google";
  return {
    ...(google
      ? provider("google", "Google", "https://accounts.google.com")
      : provider("discord", "Discord", "https://discord.com")),
    client_id: "",
    redirects: google ? ["loopback"] : ["deep-link", "loopback"],
    ready: false,
    secret: google ? "missing" : "not-needed",
    help: {
      register: google
        ? "https://console.cloud.google.com/auth/clients"
        : "https://discord.com/developers/applications",
      redirect: google ? null : "dev.larder.desktop:/callback",
      steps: [1, 2, 3, 4, 5].map((at) => `catalogue.${name}.step-${at}`),
      usable: google ? "secret" : "native",
      why: `catalogue.${name}.usable`,
      verified: true,
      server: null,
      scopes: [],
    },
  };
}

/** Google's help, with what its catalogue entry offers. */
export function withScopes(): ProviderHelp {
  const google = "catalogue.google.scope.https://www.googleapis.com/auth/";
  const scopes = Object.keys(catalogue).filter((key) => key.startsWith(google));
  return {
    ...unregistered("google").help!,
    scopes: scopes.map((meaning) => ({ scope: meaning.replace("catalogue.google.scope.", ""), meaning })),
  };
}

/** What a look at a provider finds, of every kind. */
export function report(): ReportLine[] {
  const line = (verdict: ReportLine["verdict"], key: string, value = ""): ReportLine => ({
    verdict,
    key: `report.${key}`,
    value,
    problem: null,
  });
  return [
    line("good", "issuer", "https://github.example"),
    line("good", "authorization-endpoint", "https://github.example/login/oauth/authorize"),
    line("good", "token-endpoint", "https://github.example/login/oauth/access_token"),
    line("odd", "revocation-missing"),
    line("odd", "pkce-silent"),
    line("good", "scopes", "read:user user:email"),
    line("wrong", "client-missing", "https://github.example/settings/developers"),
  ];
}

export function attempt(change: Partial<AttemptView> = {}): AttemptView {
  return {
    id: "attempt-1",
    provider: "github",
    account: null,
    redirect: "deep-link",
    host: "github.com",
    phase: "waiting",
    until: Date.now() + 9 * MINUTE + 41 * SECOND,
    problem: null,
    device: null,
    ...change,
  };
}

/** A program that asks for “work”. */
export function prompt(change: Partial<AskingProgram> = {}, more: Partial<PromptView> = {}): PromptView {
  return {
    id: "prompt-1",
    account: "id-work",
    label: "work",
    program: {
      path: "/usr/bin/backup-photos",
      arguments: ["--album", "summer 2026"],
      pid: 4127,
      started_by: "/usr/bin/gnome-terminal",
      anything_run_by: false,
      ...change,
    },
    until: Date.now() + 48 * SECOND,
    waiting: 1,
    ...more,
  };
}

/** A policy with something of everything. */
export const policy: Policy = {
  default: "ask",
  rules: [
    { program: "/usr/bin/git", account: "work", decision: "allow" },
    { program: "/home/ada/bin/backup-photos", account: "*", decision: "allow" },
    { program: "/usr/bin/python3.11", account: "mail", decision: "deny" },
  ],
  session: [{ program: "/usr/bin/python3.11", arguments: ["sync.py", "--all"], account: "work" }],
};

export const providers: ProviderView[] = [
  provider("demo", "Demo", "http://127.0.0.1:8917", true),
  provider("google", "Google", "https://accounts.google.com"),
  provider("discord", "Discord", "https://discord.com"),
  provider("github", "GitHub", "https://github.com"),
  provider("microsoft", "Microsoft", "https://login.microsoftonline.com/common/v2.0"),
  provider("keycloak", "Keycloak at work", "https://id.staging.example/realms/staging"),
  provider("spotify", "Spotify", "https://accounts.spotify.com"),
];

export function house(change: Partial<HouseView> = {}): HouseView {
  return {
    at: Date.now(),
    accounts: [],
    attempts: [],
    providers,
    keychain: { kind: "Secret Service", state: "open" },
    problems: [],
    tray: "fresh",
    next_refresh: null,
    prompts: [],
    locked: "unlocked",
    ...change,
  };
}

/** The house of the drawing, in shared words with it. */
export function fullHouse(change: Partial<HouseView> = {}): HouseView {
  const now = Date.now();
  return house({
    accounts: [
      account("work", {
        provider: "google",
        issuer: "https://accounts.google.com",
        scopes: [
          "openid",
          "profile",
          "email",
          "offline_access",
          "https://www.googleapis.com/auth/calendar.readonly",
        ],
      }),
      account("community", {
        provider: "discord",
        issuer: "https://discord.com",
        email: null,
        name: "ada",
        expires_at: now + 6 * DAY + 3 * HOUR + MINUTE,
        lifetime: 7 * DAY,
        refresh_at: now + 5 * DAY,
        scopes: ["identify"],
      }),
      account("mail", {
        provider: "microsoft",
        issuer: "https://login.microsoftonline.com/common/v2.0",
        email: "ada@example.org",
        state: "refreshing",
        expires_at: now + 3 * MINUTE + 20 * SECOND,
      }),
      account("staging", {
        provider: "keycloak",
        issuer: "https://id.staging.example/realms/staging",
        email: null,
        name: "ada",
        state: "sign-in-again",
        expires_at: now - HOUR,
        refresh_at: null,
        problem: { code: "sign-in-needed", account: "staging", why: "refused" },
      }),
      account("music", {
        provider: "spotify",
        issuer: "https://accounts.spotify.com",
        state: "signed-out",
        expires_at: null,
        refresh_at: null,
      }),
    ],
    tray: "attention",
    next_refresh: { account: "id-mail", at: now + 4 * MINUTE + 20 * SECOND },
    ...change,
  });
}

/** Every state that is not in the drawing. */
export function troubledHouse(change: Partial<HouseView> = {}): HouseView {
  const now = Date.now();
  const [work, , , , music] = fullHouse().accounts as [
    AccountView,
    AccountView,
    AccountView,
    AccountView,
    AccountView,
  ];
  return house({
    accounts: [
      {
        ...work,
        state: "waiting",
        expires_at: now + 12 * MINUTE + 30 * SECOND,
        problem: { code: "unreachable", host: "accounts.google.com" },
      },
      account("tickets", {
        provider: "keycloak",
        state: "blocked",
        expires_at: now - HOUR,
        problem: {
          code: "client-refused",
          provider: "Keycloak at work",
          error: "invalid_client",
          detail: "unknown client",
        },
      }),
      account("notes", { state: "undoable", undo_until: now + 4.6 * SECOND }),
      account("archive", { state: "signing-out" }),
      account("home", { expires_at: null, lifetime: null, email: null, name: null }),
      account("soon", { expires_at: now + 84.5 * SECOND, lifetime: 5 * MINUTE }),
      music,
    ],
    attempts: [attempt(), attempt({ id: "attempt-2", provider: "demo", phase: "failed" })],
    keychain: { kind: "Secret Service", state: "locked" },
    problems: [
      {
        code: "bad-config",
        file: "policy.toml",
        line: 7,
        detail: "there is no key “defualt”",
      },
    ],
    tray: "attention",
    ...change,
  });
}

export function event(at: number, kind: EventView["kind"], change: Partial<EventView> = {}): EventView {
  return {
    at,
    kind,
    account: "id-work",
    label: "work",
    program: null,
    scopes: [],
    problem: null,
    count: 1,
    last: null,
    ...change,
  };
}

export function events(): EventView[] {
  const now = Date.now();
  const ago = (past: number, kind: EventView["kind"], change: Partial<EventView> = {}) =>
    event(now - past, kind, change);
  return [
    ago(DAY + 3 * HOUR, "provider-changed", { account: null, label: null }),
    ago(DAY + 2 * HOUR, "sign-in-started", { account: null, label: null }),
    ago(DAY + 2 * HOUR - 20 * SECOND, "signed-in", { label: "community" }),
    ago(51 * MINUTE, "refresh-failed", {
      label: "staging",
      problem: { code: "sign-in-needed", account: "staging", why: "refused" },
    }),
    ago(34 * MINUTE, "handed-out", { program: "/usr/bin/git" }),
    ago(31 * MINUTE, "refused", {
      program: "/usr/bin/python3 sync.py",
      problem: { code: "denied", program: "/usr/bin/python3", account: "work" },
    }),
    ago(17 * MINUTE, "refreshed"),
    ago(9 * MINUTE, "signed-out", { label: "music" }),
    ago(9 * MINUTE - SECOND, "revoked", { label: "music" }),
    ago(3 * MINUTE, "handed-out", { program: "~/bin/backup-photos" }),
  ];
}
