import { fireEvent, render, screen } from "@testing-library/svelte";
import { tick } from "svelte";
import { describe, expect, it } from "vitest";
import App from "./App.svelte";
import type { Problem } from "./generated/Problem";
import { Larder } from "./model/larder.svelte";
import type { Place } from "./model/place";
import { account, event, house, prompt, provider } from "./testing/houses";
import { TestingBackend } from "./testing/backend";

const ATTACKS = [
  "<img src=x onerror=__pwned=1>",
  '"><script>__pwned=1</script>',
  "</span></title><svg onload=__pwned=1>",
  "<iframe srcdoc='<script>parent.__pwned=1</script>'></iframe>",
  "{@html x}{{x}}${x}",
  "a\u202egpj.exe\u2066",
  "zero\u200bwidth\ufeff",
  "a line\nand another\u2028and one more",
  "x".repeat(10_000),
];
/** What turns, breaks or hides what stands beside it. */
const STEERING = /[\u202a-\u202e\u2066-\u2069\u200b\u2028\u2029\ufeff]|line\nand/;

const problem = (detail: string): Problem => ({
  code: "client-refused",
  provider: detail,
  error: detail,
  detail,
});

/** The window with everything in it called so. */
async function open(harm: string) {
  const bad = account(harm, { id: "a", provider: harm, name: harm, email: harm, issuer: harm });
  const worse = { ...bad, id: "b", state: "blocked" as const, scopes: [harm, harm], problem: problem(harm) };
  const now = Date.now();
  const backend = new TestingBackend(
    house({ accounts: [bad, worse], providers: [{ ...provider(harm, harm, harm), scopes: [harm] }] }),
  );
  backend.happened = (["handed-out", "refresh-failed", "renamed"] as const).map((kind) =>
    event(now - 1000, kind, { account: "a", label: harm, program: harm, problem: problem(harm) }),
  );
  backend.known = {
    default: "ask",
    rules: [{ program: harm, account: harm, decision: "allow" }],
    session: [{ program: harm, account: harm, arguments: [harm] }],
  };
  const larder = await Larder.open(backend);
  render(App, { larder });
  return { backend, larder };
}

/** That all of it is text: no element came of it, and nothing in it steers what stands beside it. */
function isText() {
  const made = document.querySelectorAll("script, img, iframe, object, embed, [onload], [onerror], [srcdoc]");
  expect([...made].map((one) => one.outerHTML)).toEqual([]);
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts: string[] = [];
  while (walk.nextNode()) texts.push(walk.currentNode.nodeValue ?? "");
  for (const one of document.querySelectorAll("[aria-label], [title]"))
    texts.push(one.getAttribute("aria-label") ?? "", one.getAttribute("title") ?? "");
  const others = texts.filter((text) => text.trim() !== "");
  expect(others.filter((text) => STEERING.test(text))).toEqual([]);
  expect(Math.max(...others.map((text) => text.length))).toBeLessThan(2000);
  expect((globalThis as { __pwned?: unknown }).__pwned).toBeUndefined();
}

const PLACES: Place[] = [
  { page: "accounts" },
  { page: "account", account: "a", forgetting: false },
  { page: "account", account: "b", forgetting: false },
  { page: "access", account: "a" },
  { page: "activity" },
  { page: "programs" },
  { page: "settings" },
  { page: "sign-in" },
];

describe("what others wrote", () => {
  it.each(ATTACKS.map((harm) => [harm.slice(0, 40), harm]))("%s is text on every page", async (_, harm) => {
    const { backend, larder } = await open(harm);
    const found = { issuer: harm, resource: harm, client: null, title: harm, scopes: [harm, harm] };
    const more: Place[] = [
      { page: "provider", provider: harm },
      { page: "found", url: harm, found },
    ];
    for (const place of [...PLACES, ...more]) {
      larder.go(place);
      await tick();
      await new Promise((then) => setTimeout(then, 0));
      expect(screen.getByRole("main").textContent?.trim()).not.toBe("");
      isText();
    }
    await fireEvent.click(screen.getByRole("button", { name: /Find/ }));
    isText();
    larder.over = null;
    const asking = { path: `/${harm}`, arguments: [harm], started_by: harm };
    backend.become({ prompts: [prompt(asking, { label: harm, account: "a" })] });
    await tick();
    expect(screen.getByRole("alertdialog")).toBeTruthy();
    isText();
  });
});
