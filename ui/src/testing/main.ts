// testing.html?house=full&place=account:id-work shows one page without an agent; shots.mjs and people use it.
import type { LanguageChoice, Theme } from "../model/settings";
import { sections, type Section } from "../model/place";
import { tick } from "svelte";
import { bring } from "../pages/later.svelte";
import { start } from "../start";
import { TestingBackend } from "./backend";
import {
  attempt,
  events,
  fullHouse,
  house,
  policy,
  prompt,
  provider,
  report,
  troubledHouse,
  unregistered,
  withScopes,
} from "./houses";
import { crowd, past, settings } from "./past";

// A page without its onboarding, unless that is asked for.
if (!new URLSearchParams(location.search).has("welcome")) localStorage.setItem("larder.welcomed", "yes");
else localStorage.removeItem("larder.welcomed");

const asked = new URLSearchParams(location.search);
const make =
  { full: fullHouse, troubled: troubledHouse, empty: house, crowd: () => house({ accounts: crowd(1000) }) }[
    asked.get("house") ?? "full"
  ] ?? fullHouse;
const backend = new TestingBackend(make());
if (asked.has("events")) backend.happened = events();
if (asked.has("past")) backend.happened = past(Date.now());
backend.chosen = {
  ...settings,
  theme: (asked.get("theme") as Theme | null) ?? "system",
  language: (asked.get("language") as LanguageChoice | null) ?? "system",
};
if (asked.has("refuse"))
  backend.refusal = {
    code: "no-agent",
    path: "/run/user/1000/larder/agent.sock",
    detail: "larder-agent was not found",
  };

if (asked.has("report")) backend.report = report();
if (asked.has("scopes"))
  backend.become({
    providers: backend.now.providers.map((one) =>
      one.name === "google" ? { ...unregistered("google"), ready: true, help: withScopes() } : one,
    ),
  });

backend.known = policy;

const larder = await start(backend, document.getElementById("app")!);
// In reach of the console and of shots.mjs.
Object.assign(globalThis, { larder, backend, prompt });

const [page, id] = (asked.get("place") ?? "accounts").split(":");
if (asked.has("new"))
  backend.become({
    providers: [
      provider("demo", "Demo", "http://127.0.0.1:8917", true),
      unregistered("discord"),
      unregistered("google"),
    ],
  });
if (page === "account" && id) larder.openAccount(id, asked.has("forgetting"));
else if (page === "waiting") {
  const phase = id === "failed" || id === "finishing" ? id : "waiting";
  const problem = phase === "failed" ? { code: "consent-denied" as const, provider: "GitHub" } : null;
  const redirect = id === "loopback" || id === "paste" ? id : "deep-link";
  const one = attempt({ phase, problem, redirect });
  backend.become({ attempts: [one] });
  larder.show(one);
} else if (page === "provider" && id) larder.go({ page, provider: id });
else if (page === "access" && id) larder.go({ page, account: id });
else if (page === "settings") {
  const section = sections.find((one) => one === id) as Section | undefined;
  larder.go(section ? { page, section } : { page });
} else if (page === "sign-in" || page === "new-provider" || page === "activity" || page === "programs")
  larder.go({ page });

// What is to be done on the page can be, from here on.
await bring();
await tick();
document.documentElement.dataset.placed = "";
