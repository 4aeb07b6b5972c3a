// Looks through every page as axe-core does (WCAG 2.2 A and AA), in every look: `npm run axe`; what else there is to
// see on them too: `npm run axe -- --all`; or what has a name with this in it: `npm run axe -- NAME`.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { open } from "./browser.mjs";
import { kept, places } from "./places.mjs";

const asked = process.argv[2];
const wanted = (name) =>
  asked === undefined ? kept.includes(name) : asked === "--all" || name.includes(asked);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const looks = [
  ["light", { width: 860, height: 580 }],
  ["dark", { width: 860, height: 580, scheme: "dark" }],
  ["light, more contrast", { width: 860, height: 580, contrast: "more" }],
  ["dark, more contrast", { width: 860, height: 580, contrast: "more", scheme: "dark" }],
  // At 200 % a window of 860 by 580 has room for half as much.
  ["at 200 %", { width: 430, height: 290, scale: 2 }],
  ["420 wide", { width: 420, height: 640 }],
];
const RUN = `axe.run(document, {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  // One window, and no page around it: what its regions are called is enough.
  rules: { region: { enabled: false } },
}).then(({ violations }) => violations.map(({ id, help, nodes }) =>
  ({ id, help, where: nodes.map(({ target, failureSummary }) => target.join(" ") + " | " + failureSummary.replace(/\\s+/g, " ")) })))`;

const page = await open();
const found = new Map();
let looked = 0;
for (const [look, metrics] of looks) {
  await page.look(metrics);
  for (const [name, query, script] of places) {
    if (!wanted(name)) continue;
    await page.go(query, script);
    await page.evaluate(axe);
    const violations = await page.evaluate(RUN);
    looked++;
    if (!violations) found.set(`${name}: axe did not run`, [look]);
    for (const { id, help, where } of violations ?? [])
      for (const one of where) {
        const key = `${id} (${help})\n    ${one}`;
        found.set(key, [...(found.get(key) ?? []), `${name}, ${look}`]);
      }
    if (await page.evaluate("document.documentElement.scrollWidth > innerWidth"))
      found.set(`${name} is wider than its window`, [look]);
  }
}
for (const trouble of page.troubles) found.set(trouble, ["on a page"]);
await page.close();
for (const [what, where] of found)
  console.error(
    `${what}\n    ${where.slice(0, 4).join("; ")}${where.length > 4 ? ` and ${where.length - 4} more` : ""}`,
  );
console.log(`axe: ${looked} pages looked through, ${found.size} kinds of trouble`);
process.exitCode = found.size > 0 || looked === 0 ? 1 : 0;
