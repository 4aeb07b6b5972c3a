// Compares every page with how it looked when somebody last looked at it: `npm run looks`, and after looking at what
// changed, `npm run looks -- --keep`. The pictures are in ui/looks; where one differs, it lies in target/looks.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pixelmatch from "pixelmatch";
import { PNG } from "pngjs";
import { open } from "./browser.mjs";
import { kept, places } from "./places.mjs";

const keep = process.argv.includes("--keep");
const folder = "looks";
const wrong = join("..", "target", "looks");
/** How many pixels of all may differ: browsers of two versions smooth letters differently. */
const MOST = 0.004;
// The one font that every machine that tests has.
const FONTS = `:root { --sans: "DejaVu Sans" !important; --mono: "DejaVu Sans Mono" !important; } * { caret-color: transparent !important; }`;
const SMALL = { colorType: 2, deflateLevel: 9, deflateStrategy: 0, filterType: 0 };

/** With 32 shades of each colour: enough to see a change by, and half as large. */
function coarse(png) {
  const SHADES = 31;
  const picture = PNG.sync.read(png);
  picture.data.forEach((value, at) => {
    picture.data[at] = Math.round((Math.round((value * SHADES) / 255) * 255) / SHADES);
  });
  return picture;
}

mkdirSync(folder, { recursive: true });
const page = await open({ still: true });
const differ = [];
let looked = 0;
for (const scheme of ["light", "dark"]) {
  await page.look({ width: 860, height: 580, scheme });
  for (const [name, query, script] of places) {
    if (!kept.includes(name)) continue;
    await page.go(query, script, FONTS);
    const path = join(folder, `${name}-${scheme}.png`);
    const now = await page.picture();
    looked++;
    if (keep) {
      writeFileSync(path, PNG.sync.write(coarse(now), SMALL));
      continue;
    }
    const [was, is] = [existsSync(path) ? PNG.sync.read(readFileSync(path)) : null, coarse(now)];
    const same = was?.width === is.width && was.height === is.height;
    const difference = new PNG({ width: is.width, height: is.height });
    const pixels = same
      ? pixelmatch(was.data, is.data, difference.data, is.width, is.height, { threshold: 0.2 })
      : is.width * is.height;
    if (pixels <= MOST * is.width * is.height) continue;
    mkdirSync(wrong, { recursive: true });
    writeFileSync(join(wrong, `${name}-${scheme}.png`), now);
    if (same) writeFileSync(join(wrong, `${name}-${scheme}-difference.png`), PNG.sync.write(difference));
    differ.push(`${name}-${scheme}: ${pixels} pixels`);
  }
}
for (const trouble of page.troubles) differ.push(trouble);
await page.close();
for (const one of differ) console.error(one);
console.log(`looks: ${looked} pages ${keep ? "kept" : `compared, ${differ.length} differ`}`);
process.exitCode = differ.length > 0 || looked !== 2 * kept.length ? 1 : 0;
