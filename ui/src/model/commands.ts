// What can be asked for by name: the palette's list.
import type { IconName } from "../parts/Icon.svelte";
import { t } from "../messages";
import { actions, subtitle } from "./accounts";
import type { Larder } from "./larder.svelte";
import { sections } from "./place";

export interface Command {
  id: string;
  group: "accounts" | "actions" | "pages" | "providers" | "settings";
  title: string;
  note: string;
  icon: IconName | null;
  /** Whose mark stands before it, where no icon does. */
  mark: { provider: string; title: string } | null;
  /** Shown before anything has been typed. */
  early: boolean;
  run: () => void;
  /** What is looked through, in small letters; the title comes first. */
  text: string;
}

/** The most that are shown at once: beyond it, one types on. */
export const MOST_SHOWN = 40;
/** How many accounts stand there before anything has been typed. */
const EARLY_ACCOUNTS = 6;

const pages = [
  ["accounts", "jar"],
  ["activity", "clock"],
  ["programs", "key"],
  ["settings", "gear"],
] as const;
const shapes = {
  refresh: "turn",
  test: "ok",
  "sign-in-again": "in",
  "add-access": "key",
  rename: "note",
  "sign-out": "out",
  "sign-out-in-browser": "out",
  undo: "turn",
  forget: "cross",
} as const;

type Given = Pick<Command, "id" | "group" | "title" | "run"> & Partial<Command> & { words?: string };
const command = ({ words = "", ...given }: Given): Command => {
  const whole = { note: "", icon: null, mark: null, early: false, ...given };
  return { ...whole, text: [whole.title, whole.note, words].join("\n").toLocaleLowerCase() };
};

/** Everything there is to ask for now. */
export function commands(larder: Larder): Command[] {
  const { accounts, providers } = larder.house;
  const all: Command[] = [];
  accounts.forEach((account, at) => {
    const title = larder.title(account.provider);
    all.push(
      command({
        id: `account ${account.id}`,
        group: "accounts",
        title: account.label,
        note: subtitle(account, title),
        mark: { provider: account.provider, title },
        early: at < EARLY_ACCOUNTS,
        run: () => larder.openAccount(account.id),
        words: `${account.name} ${account.issuer}`,
      }),
    );
  });
  all.push(
    command({
      id: "sign-in",
      group: "actions",
      title: t("accounts.sign-in"),
      icon: "in",
      early: true,
      run: () => larder.go({ page: "sign-in" }),
    }),
  );
  if (accounts.length > 1)
    all.push(
      command({
        id: "refresh-all",
        group: "actions",
        title: t("accounts.refresh-all"),
        icon: "turn",
        early: true,
        run: () => void larder.run(() => larder.backend.refreshAll()),
      }),
    );
  const locked = larder.house.locked !== "unlocked";
  all.push(
    command({
      id: "lock",
      group: "actions",
      title: t(locked ? "lock.unlock" : "lock.lock"),
      icon: "lock",
      early: true,
      run: () => void larder.run(() => (locked ? larder.backend.unlock() : larder.backend.lock())),
    }),
  );
  for (const account of accounts)
    for (const action of actions(account))
      all.push(
        command({
          id: `${action} ${account.id}`,
          group: "actions",
          title: t(`do.${action}`),
          note: account.label,
          icon: shapes[action],
          run: () => void larder.act(action, account),
        }),
      );
  for (const [page, icon] of pages)
    all.push(
      command({
        id: `page ${page}`,
        group: "pages",
        title: t(`nav.${page}`),
        icon,
        early: true,
        run: () => larder.go({ page }),
      }),
    );
  all.push(
    command({
      id: "shortcuts",
      group: "pages",
      title: t("keys.shortcuts"),
      icon: "note",
      early: true,
      run: () => void larder.lay("shortcuts"),
    }),
  );
  for (const section of sections)
    all.push(
      command({
        id: `settings ${section}`,
        group: "settings",
        title: t(`settings.${section}`),
        note: t(`settings.${section}-about`),
        icon: "gear",
        run: () => larder.go({ page: "settings", section }),
      }),
    );
  for (const provider of providers)
    all.push(
      command({
        id: `provider ${provider.name}`,
        group: "providers",
        title: t("palette.provider", { provider: provider.title }),
        mark: { provider: provider.name, title: provider.title },
        run: () => larder.choose(provider),
        words: `${provider.name} ${provider.issuer}`,
      }),
    );
  return all;
}

/** How well a command fits, the less the better; none where a word is missing. */
function rank(one: Command, words: string[]): number | null {
  // An account is what most come for: found by its provider, it still stands before what its provider offers.
  let sum = one.group === "accounts" ? -2 : 0;
  for (const word of words) {
    const at = one.text.indexOf(word);
    if (at < 0) return null;
    if (at === 0) continue;
    sum += at >= one.title.length ? 3 : /[\s-]/.test(one.text[at - 1] ?? "") ? 1 : 2;
  }
  return sum;
}

/** What fits, the best first; what fits equally stays in its order. */
export function matching(all: Command[], query: string): Command[] {
  const words = query.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return all.filter((one) => one.early);
  return all
    .map((one) => ({ one, at: rank(one, words) }))
    .filter((scored): scored is { one: Command; at: number } => scored.at !== null)
    .sort((a, b) => a.at - b.at)
    .slice(0, MOST_SHOWN)
    .map(({ one }) => one);
}

/** In groups, each where its best stands. */
export function grouped(found: Command[]): { group: Command["group"]; commands: Command[] }[] {
  const groups = new Map<Command["group"], Command[]>();
  for (const one of found) {
    const group = groups.get(one.group);
    if (group) group.push(one);
    else groups.set(one.group, [one]);
  }
  return [...groups].map(([group, commands]) => ({ group, commands }));
}
