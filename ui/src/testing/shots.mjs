// Screenshots of every page, light and dark, wide and narrow: `npm run shots -- FOLDER [NAME]`.
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open } from "./browser.mjs";
import { places } from "./places.mjs";

const folder = process.argv[2] ?? join(tmpdir(), "ui-shots");
const only = process.argv[3] ?? "";
const sizes = [
  ["light", { width: 860, height: 580, scale: 1.5 }],
  ["dark", { width: 860, height: 580, scale: 1.5, scheme: "dark" }],
  ["light-420", { width: 420, height: 640, scale: 1.5 }],
];

mkdirSync(folder, { recursive: true });
const page = await open();
for (const [size, look] of sizes) {
  await page.look(look);
  for (const [name, query, script] of places) {
    if (!name.includes(only)) continue;
    await page.go(query, script);
    if (await page.evaluate("document.documentElement.scrollWidth > innerWidth"))
      console.error(`${name} at ${size} is wider than its window`);
    writeFileSync(join(folder, `${name}-${size}.png`), await page.picture());
  }
}
for (const trouble of page.troubles) console.error(trouble);
await page.close();
