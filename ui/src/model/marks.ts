// What kind of house a provider is: its mark's outline says so, and no logo of anybody's is drawn.

export type Kind = "code" | "talk" | "sound" | "files" | "keys" | "plain";

const kinds: Record<Exclude<Kind, "plain">, readonly string[]> = {
  code: ["github", "gitlab", "gitea", "forgejo", "codeberg", "bitbucket", "sourcehut", "hugging", "figma"],
  talk: ["discord", "slack", "mastodon", "twitch", "reddit", "matrix", "zoom", "linkedin", "x"],
  sound: ["spotify", "soundcloud", "deezer", "strava", "fitbit"],
  files: [
    "dropbox",
    "box",
    "nextcloud",
    "notion",
    "airtable",
    "asana",
    "todoist",
    "atlassian",
    "linear",
    "hubspot",
    "salesforce",
  ],
  keys: [
    "keycloak",
    "auth0",
    "okta",
    "authentik",
    "zitadel",
    "kanidm",
    "authelia",
    "pocket",
    "dex",
    "onelogin",
    "ory",
  ],
};

/** By the name's first word: somebody's “gitlab-work” is a GitLab too. */
export function kindOf(provider: string): Kind {
  const first = provider.toLowerCase().split(/[^a-z0-9]/)[0] ?? "";
  for (const [kind, names] of Object.entries(kinds) as [Exclude<Kind, "plain">, readonly string[]][])
    if (names.includes(first)) return kind;
  return "plain";
}
