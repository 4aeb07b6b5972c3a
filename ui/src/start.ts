import { flushSync, mount, unmount } from "svelte";
import App from "./App.svelte";
import type { Backend } from "./backend";
import type { Problem } from "./generated/Problem";
import { Larder } from "./model/larder.svelte";
import { followChosen } from "./model/chosen.svelte";
import { asProblem } from "./model/problem";
import { bring, MANY } from "./pages/later.svelte";
import Unreachable from "./pages/Unreachable.svelte";
import "./theme/tokens.css";
import "./theme/base.css";

/** The first paint has data, or the sentence that says why there is none. */
export async function start(backend: Backend, target: HTMLElement): Promise<Larder> {
  for (;;) {
    try {
      const [larder] = await Promise.all([Larder.open(backend), followChosen(backend)]);
      // What is asked of its person, or turned to, is on the first picture; a long list is not drawn whole.
      const { prompts, accounts } = larder.house;
      if (larder.place.page !== "accounts" || prompts.length > 0 || accounts.length > MANY) await bring();
      mount(App, { target, props: { larder } });
      show(backend);
      await larder.listening;
      backend.hears().catch(() => undefined);
      // When the first page is on the screen.
      requestAnimationFrame(() => setTimeout(bring));
      return larder;
    } catch (refused) {
      await unreachable(backend, target, asProblem(refused));
    }
  }
}

/** Says why there is nothing, until a click asks again or the agent comes back by itself. */
async function unreachable(backend: Backend, target: HTMLElement, problem: Problem): Promise<void> {
  let again = () => {};
  const asked = new Promise<void>((then) => (again = then));
  const page = mount(Unreachable, { target, props: { problem, again } });
  show(backend);
  const quiet = await backend.onHouse(again);
  // It may have come back before anybody listened.
  backend.house().then(again, () => {});
  await asked;
  quiet();
  await unmount(page);
}

/** At once and not in the next frame: a window that is not seen draws none. If this fails, it is shown all the same. */
function show(backend: Backend): void {
  flushSync();
  backend.ready().catch(() => undefined);
}
