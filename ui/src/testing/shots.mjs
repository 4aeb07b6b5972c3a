// Screenshots of every page, light and dark: `npm run dev`, then `npm run shots -- FOLDER`. Needs chromium.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = process.argv[2] ?? join(tmpdir(), "ui-shots");
const only = process.argv[3];
const origin = "http://localhost:5173/testing.html";
const menu = `document.querySelector(".more").click()`;
const shots = [
  ["accounts", "?house=full"],
  ["accounts-selected", "?house=full", `larder.selected = "id-work"`],
  ["accounts-menu", "?house=full", menu],
  ["accounts-troubled", "?house=troubled"],
  ["accounts-empty", "?house=empty"],
  ["sign-in", "?house=full&place=sign-in"],
  ["sign-in-new", "?house=empty&place=sign-in&new"],
  ["provider-google", "?house=empty&place=provider:google&new"],
  ["provider-discord", "?house=empty&place=provider:discord&new"],
  ["new-provider", "?house=empty&place=new-provider&new"],
  ["waiting-loopback", "?house=full&place=waiting:loopback"],
  ["waiting-paste", "?house=full&place=waiting:paste"],
  ["waiting", "?house=full&place=waiting"],
  ["waiting-failed", "?house=full&place=waiting:failed"],
  ["accounts-crowd", "?house=crowd"],
  ["palette", "?house=full", `larder.lay("palette")`],
  [
    "palette-typed",
    "?house=full",
    `larder.lay("palette"); new Promise((done) => setTimeout(() => { const field = document.querySelector("[role=combobox]"); field.value = "work"; field.dispatchEvent(new Event("input")); done(); }, 100))`,
  ],
  ["shortcuts", "?house=full", `larder.lay("shortcuts")`],
  ["account", "?house=full&past&place=account:id-work"],
  [
    "account-week",
    "?house=full&past&place=account:id-work",
    `document.querySelectorAll("[type=radio]")[1].click()`,
  ],
  [
    "account-month",
    "?house=full&past&place=account:id-work",
    `document.querySelectorAll("[type=radio]")[2].click()`,
  ],
  [
    "account-table",
    "?house=full&past&place=account:id-work",
    `document.querySelector("[aria-pressed]").click()`,
  ],
  [
    "account-rename",
    "?house=full&past&place=account:id-work",
    `larder.act("rename", larder.house.accounts[0])`,
  ],
  [
    "account-tested",
    "?house=full&past&place=account:id-work",
    `larder.act("test", larder.house.accounts[0])`,
  ],
  ["settings", "?house=full&place=settings"],
  ["settings-data", "?house=full&place=settings:data"],
  [
    "settings-kept",
    "?house=full&place=settings:data",
    `[...document.querySelectorAll("#settings-data button")][1].click(); setTimeout(() => document.querySelector(".scroll").scrollTo(0, 9999), 50)`,
  ],
  [
    "settings-move",
    "?house=full&place=settings:data",
    `[...document.querySelectorAll("#settings-data button")][2].click(); setTimeout(() => document.querySelector(".scroll").scrollTo(0, 9999), 50)`,
  ],
  [
    "account-waiting",
    "?house=troubled&place=account:id-work",
    `backend.become({ problems: [], keychain: { kind: "Secret Service", state: "open" } })`,
  ],
  [
    "account-robot",
    "?house=full&place=account:id-work",
    `backend.becomeAccount("id-work", { grant_type: "client-credentials", email: null, name: null })`,
  ],
  ["account-blocked", "?house=troubled&place=account:id-tickets"],
  [
    "account-left",
    "?house=full&place=account:id-music",
    `backend.becomeAccount("id-music", { browser_sign_out: true })`,
  ],
  [
    "accounts-left",
    "?house=full",
    `backend.become({ accounts: backend.now.accounts.slice(0, 3) }); backend.becomeAccount("id-mail", { browser_sign_out: true }); backend.becomeAccount("id-mail", { state: "signed-out" })`,
  ],
  ["access", "?house=full&place=access:id-work&scopes"],
  [
    "report",
    "?house=full&place=waiting:failed&report",
    `[...document.querySelectorAll("button")].find((one) => one.textContent.includes("Find out")).click()`,
  ],
  [
    "report-provider",
    "?house=empty&place=provider:discord&new&report",
    `[...document.querySelectorAll("button")].find((one) => one.textContent.trim() === "Check").click(); setTimeout(() => document.querySelector(".scroll").scrollTo(0, 9999), 100)`,
  ],
  ["account-undo", "?house=full&place=account:id-work", `backend.signOut("id-work")`],
  ["account-out", "?house=full&place=account:id-music"],
  ["account-forget", "?house=full&place=account:id-music&forgetting"],
  ["activity", "?house=full&place=activity&events"],
  ["activity-empty", "?house=full&place=activity"],
  ["programs", "?house=full&place=programs"],
  ["programs-locked", "?house=full&place=programs", `backend.become({ locked: "locked" })`],
  [
    "prompt",
    "?house=full",
    `backend.become({ prompts: [prompt()] }); new Promise((done) => setTimeout(done, 900))`,
  ],
  [
    "prompt-python",
    "?house=full",
    `backend.become({ prompts: [prompt({ path: "/usr/bin/python3.11", arguments: ["sync.py"], anything_run_by: true }, { waiting: 12 })] })`,
  ],
  [
    "prompt-hostile",
    "?house=full",
    `backend.become({ prompts: [prompt({ path: "/tmp/\u202e<b>tig\u001b[2J\n" + "x".repeat(900), arguments: Array(200).fill("y".repeat(300)) })] })`,
  ],
  [
    "prompt-unknown",
    "?house=full",
    `backend.become({ prompts: [prompt({ path: "", arguments: [], pid: 0, started_by: null })] })`,
  ],
  ["unreachable", "?refuse"],
];
const sizes = [
  ["light", 860, 580],
  ["dark", 860, 580],
  ["light-420", 420, 640],
];

mkdirSync(folder, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), "shots-"));
const flags =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
  "--disable-component-update --disable-sync --hide-scrollbars --remote-debugging-port=0";
const chromium = spawn("chromium", [...flags.split(" "), `--user-data-dir=${profile}`, "about:blank"]);
const endpoint = await new Promise((found) => {
  let said = "";
  chromium.stderr.on("data", (text) => {
    said += text;
    const at = /ws:\/\/\S+/.exec(said);
    if (at) found(new URL(at[0]));
  });
});
const pages = await (await fetch(`http://${endpoint.host}/json`)).json();
const socket = new WebSocket(pages.find((page) => page.type === "page").webSocketDebuggerUrl);
await new Promise((open) => (socket.onopen = open));
let id = 0;
const waiting = new Map();
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.method === "Runtime.exceptionThrown" || message.method === "Log.entryAdded")
    console.error(JSON.stringify(message.params).slice(0, 400));
  waiting.get(message.id)?.(message.result ?? message.error);
};
const send = (method, params = {}) =>
  new Promise((done) => {
    waiting.set(++id, done);
    socket.send(JSON.stringify({ id, method, params }));
  });
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

await send("Page.enable");
await send("Runtime.enable");
await send("Log.enable");
await send("Emulation.setFocusEmulationEnabled", { enabled: true });
for (const [size, width, height] of sizes) {
  await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1.5, mobile: false });
  const scheme = size.startsWith("dark") ? "dark" : "light";
  await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  for (const [name, query, script] of shots) {
    if (only && !name.includes(only)) continue;
    await send("Page.navigate", { url: origin + query });
    await pause(700);
    if (script) await send("Runtime.evaluate", { expression: script, awaitPromise: true });
    await pause(250);
    const wide = await send("Runtime.evaluate", {
      expression: "document.documentElement.scrollWidth > innerWidth",
    });
    if (wide.result.value) console.error(`${name} at ${size} is wider than its window`);
    const { data } = await send("Page.captureScreenshot", { format: "png" });
    writeFileSync(join(folder, `${name}-${size}.png`), Buffer.from(data, "base64"));
  }
}
// Closed by itself, it has stopped writing to its profile when it ends.
const gone = new Promise((exit) => chromium.on("exit", exit));
await send("Browser.close");
await gone;
await rm(profile, { recursive: true, force: true, maxRetries: 10 });
