// The testing page as it is built, in Debian's chromium: for pictures, for axe, and for comparing. Needs chromium.
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, preview } from "vite";

const FLAGS =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
  "--disable-component-update --disable-dev-shm-usage --disable-sync --hide-scrollbars --force-color-profile=srgb --remote-debugging-port=0";
/** How long a page may take until it stands still, in ms. */
const PATIENCE = 30_000;

// As the window's own page has it: a library that cannot live with that shows it here.
const FREEZE = "Object.freeze(Object.prototype);";
/** Noon of a day in the past: what counts down stands still, and looks the same tomorrow. */
const NOON = Date.UTC(2026, 10, 24, 12);
const STILL = `{
  const Real = Date, now = ${NOON};
  globalThis.Date = class extends Real {
    constructor(...given) { if (given.length === 0) super(now); else super(...given); }
    static now() { return now; }
  };
}`;

/** One page of one browser. `still` stops its clock. */
export async function open({ still = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "larder-pages-"));
  await build({
    logLevel: "error",
    build: { outDir: join(folder, "dist"), rolldownOptions: { input: "testing.html" } },
  });
  const server = await preview({
    logLevel: "error",
    build: { outDir: join(folder, "dist") },
    preview: { port: 0, strictPort: false, host: "127.0.0.1" },
  });
  const origin = `http://127.0.0.1:${server.httpServer.address().port}/testing.html`;

  const chromium = spawn("chromium", [
    ...FLAGS.split(" "),
    `--user-data-dir=${join(folder, "profile")}`,
    "about:blank",
  ]);
  const endpoint = await new Promise((found, failed) => {
    let said = "";
    chromium.on("error", failed);
    chromium.stderr.on("data", (text) => {
      said += text;
      const at = /ws:\/\/\S+/.exec(said);
      if (at) found(new URL(at[0]));
    });
  });
  let closing = false;
  chromium.on("exit", () => {
    if (closing) return;
    // Nothing would ever answer again.
    console.error("chromium has ended");
    process.exit(1);
  });
  const pages = await (await fetch(`http://${endpoint.host}/json`)).json();
  const socket = new WebSocket(pages.find((page) => page.type === "page").webSocketDebuggerUrl);
  await new Promise((opened) => (socket.onopen = opened));
  let id = 0;
  const waiting = new Map();
  const troubles = [];
  socket.onmessage = ({ data }) => {
    const { id: of, method, params, result, error } = JSON.parse(data);
    if (method === "Runtime.exceptionThrown") troubles.push(params.exceptionDetails.exception?.description);
    if (
      method === "Log.entryAdded" &&
      params.entry.level === "error" &&
      !params.entry.url?.endsWith("favicon.ico")
    )
      troubles.push(params.entry.text);
    waiting.get(of)?.(result ?? error);
    waiting.delete(of);
  };
  const send = (method, params = {}) =>
    new Promise((done, failed) => {
      const late = setTimeout(
        () => failed(new Error(`${method} has no answer: ${JSON.stringify(params).slice(0, 300)}`)),
        PATIENCE,
      );
      waiting.set(++id, (answer) => {
        clearTimeout(late);
        done(answer);
      });
      socket.send(JSON.stringify({ id, method, params }));
    });
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) troubles.push(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result?.value;
  };

  for (const domain of ["Page", "Runtime", "Log"]) await send(`${domain}.enable`);
  await send("Emulation.setFocusEmulationEnabled", { enabled: true });
  await send("Emulation.setTimezoneOverride", { timezoneId: "UTC" });
  await send("Emulation.setLocaleOverride", { locale: "en_GB" });
  await send("Page.addScriptToEvaluateOnNewDocument", { source: FREEZE + (still ? STILL : "") });

  return {
    evaluate,
    /** What went wrong on the pages so far. */
    troubles,
    async look({ width, height, scale = 1, scheme = "light", contrast = "no-preference" }) {
      await send("Emulation.setDeviceMetricsOverride", {
        width,
        height,
        deviceScaleFactor: scale,
        mobile: false,
      });
      await send("Emulation.setEmulatedMedia", {
        features: [
          { name: "prefers-color-scheme", value: scheme },
          { name: "prefers-contrast", value: contrast },
          { name: "prefers-reduced-motion", value: "reduce" },
        ],
      });
    },
    /** Goes to a page, does what is to be done there, and waits until it stands still. */
    async go(query, script, style = "") {
      // The page before it may still be there when it is first asked.
      await evaluate("globalThis.left = true");
      await send("Page.navigate", { url: origin + query });
      const until = Date.now() + PATIENCE;
      while (
        !(await evaluate(
          query.includes("refuse")
            ? `!globalThis.left && document.querySelector("main") !== null`
            : `!globalThis.left && document.documentElement?.dataset.placed === ""`,
        ))
      ) {
        if (Date.now() > until) throw new Error(`${query} does not come`);
        await new Promise((later) => setTimeout(later, 20));
      }
      if (style)
        await evaluate(
          `document.head.append(Object.assign(document.createElement("style"), { textContent: ${JSON.stringify(style)} }))`,
        );
      if (script) await evaluate(script);
      // A drawing comes by itself, and two frames after the last change nothing moves.
      await evaluate(`(async () => {
        // A window that nobody sees may draw no frame at all.
        const frame = () => new Promise((next) => { requestAnimationFrame(next); setTimeout(next, 100); });
        const until = performance.now() + 10000;
        while (document.querySelector("[role=slider]") && !document.querySelector("canvas") && performance.now() < until) await frame();
        await new Promise((later) => setTimeout(later, 60));
        await frame(); await frame();
      })()`);
    },
    async picture() {
      const { data } = await send("Page.captureScreenshot", { format: "png" });
      return Buffer.from(data, "base64");
    },
    async close() {
      // Closed by itself, it has stopped writing to its profile when it ends.
      closing = true;
      const gone = new Promise((exit) => chromium.on("exit", exit));
      // It may be gone before it has answered.
      socket.send(JSON.stringify({ id: ++id, method: "Browser.close" }));
      await gone;
      await server.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}
