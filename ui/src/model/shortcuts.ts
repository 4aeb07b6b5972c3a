// The one list of keys: the sheet is made from it, and so is what a key does.
import type { Key } from "../messages";
import type { AccountView } from "../generated/AccountView";
import { actions, type Action } from "./accounts";
import type { Larder } from "./larder.svelte";
import { back } from "./place";

export interface Shortcut {
  says: Key;
  /** As they are shown, one beside the other; “Mod” is the system's own: Ctrl, or ⌘ on a Mac. */
  keys: readonly string[];
  group: "everywhere" | "account" | "list";
  /** Whether this is it. Absent where something else listens: the native menu, or the list itself. */
  is?: (event: KeyboardEvent) => boolean;
  /** Whether there was something to do. */
  run?: (larder: Larder, account: AccountView | undefined) => boolean | void;
}

const plain = (event: KeyboardEvent) => !event.ctrlKey && !event.metaKey && !event.altKey;
const mod = (event: KeyboardEvent) => (event.ctrlKey || event.metaKey) && !event.altKey;
const letter = (wanted: string) => (event: KeyboardEvent) =>
  plain(event) && !event.shiftKey && event.key.toLowerCase() === wanted;

/** Does it if it applies to the account as it stands. */
const act = (action: Action) => (larder: Larder, account: AccountView | undefined) => {
  if (!account || !actions(account).includes(action)) return false;
  void larder.act(action, account);
  return true;
};

export const shortcuts: readonly Shortcut[] = [
  {
    says: "keys.palette",
    keys: ["Mod", "K"],
    group: "everywhere",
    is: (event) => mod(event) && event.key.toLowerCase() === "k",
    run: (larder) => larder.lay("palette"),
  },
  {
    says: "keys.find",
    keys: ["/"],
    group: "everywhere",
    is: (event) => plain(event) && event.key === "/",
    run: (larder) => larder.find(),
  },
  {
    says: "keys.shortcuts",
    keys: ["?"],
    group: "everywhere",
    is: (event) => plain(event) && event.key === "?",
    run: (larder) => larder.lay("shortcuts"),
  },
  {
    says: "keys.back",
    keys: ["Esc"],
    group: "everywhere",
    is: (event) => event.key === "Escape",
    run: (larder) => {
      const to = back(larder.place);
      if (to) larder.go(to);
      return to !== null;
    },
  },
  { says: "keys.sign-in", keys: ["Mod", "N"], group: "everywhere" },
  { says: "keys.pages", keys: ["Mod", "1–3"], group: "everywhere" },
  { says: "keys.settings", keys: ["Mod", ","], group: "everywhere" },
  { says: "keys.refresh", keys: ["R"], group: "account", is: letter("r"), run: act("refresh") },
  { says: "keys.test", keys: ["T"], group: "account", is: letter("t"), run: act("test") },
  { says: "keys.sign-in-again", keys: ["S"], group: "account", is: letter("s"), run: act("sign-in-again") },
  { says: "keys.add-access", keys: ["A"], group: "account", is: letter("a"), run: act("add-access") },
  {
    says: "keys.rename",
    keys: ["F2"],
    group: "account",
    is: (event) => plain(event) && event.key === "F2",
    run: act("rename"),
  },
  {
    says: "keys.sign-out",
    keys: ["Del"],
    group: "account",
    is: (event) => plain(event) && event.key === "Delete",
    run: (larder, account) => act("sign-out")(larder, account) || act("forget")(larder, account),
  },
  {
    says: "keys.undo",
    keys: ["Mod", "Z"],
    group: "account",
    is: (event) => mod(event) && !event.shiftKey && event.key.toLowerCase() === "z",
    run: (larder) => {
      const last = larder.house.accounts.findLast((one) => one.state === "undoable");
      if (last) void larder.act("undo", last);
      return last !== undefined;
    },
  },
  { says: "keys.move", keys: ["↑", "↓"], group: "list" },
  { says: "keys.open", keys: ["Enter"], group: "list" },
  { says: "keys.menu", keys: ["Shift", "F10"], group: "list" },
  { says: "keys.place", keys: ["Alt", "↑ ↓"], group: "list" },
];

/** Whether a key is a letter or sign by itself, which speech input can press by mistake (WCAG 2.1.4). */
export const isSingle = (event: KeyboardEvent): boolean => plain(event) && event.key.length === 1;

/** Whether what has the focus wants keys for itself. */
export function takesText(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable ||
      target.matches(
        "textarea, select, input:not([type=checkbox]):not([type=radio]), [role=menuitem], [role=slider]",
      ))
  );
}

const SINGLE_KEYS = "larder.single-keys";
/** Whether letters by themselves do something; some people's input devices press them by mistake. */
export const singleKeys = (): boolean => localStorage.getItem(SINGLE_KEYS) !== "off";
export const setSingleKeys = (on: boolean): void => localStorage.setItem(SINGLE_KEYS, on ? "on" : "off");

/** Does what a key stands for. Whether there was something to do. */
export function press(event: KeyboardEvent, larder: Larder): boolean {
  const one = shortcuts.find((shortcut) => shortcut.is?.(event));
  if (!one?.run) return false;
  const typing = takesText(event.target);
  if (typing && event.key !== "Escape" && !(mod(event) && event.key !== "z")) return false;
  if (isSingle(event) && !singleKeys()) return false;
  return one.run(larder, larder.pointed()) !== false;
}
