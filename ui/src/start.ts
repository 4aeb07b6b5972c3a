import { flushSync, mount, unmount } from "svelte";
import App from "./App.svelte";
import type { Backend } from "./backend";
import { Larder } from "./model/larder.svelte";
import { asProblem } from "./model/problem";
import Unreachable from "./pages/Unreachable.svelte";
import "./theme/tokens.css";
import "./theme/base.css";

/** The first paint has data, or the sentence that says why there is none. */
export async function start(backend: Backend, target: HTMLElement): Promise<Larder> {
  for (;;) {
    try {
      const larder = await Larder.open(backend);
      mount(App, { target, props: { larder } });
      show(backend);
      return larder;
    } catch (refused) {
      await new Promise<void>((again) => {
        const page = mount(Unreachable, {
          target,
          props: { problem: asProblem(refused), again: () => void unmount(page).then(again) },
        });
        show(backend);
      });
    }
  }
}

/** At once and not in the next frame: a window that is not seen draws none. If this fails, it is shown all the same. */
function show(backend: Backend): void {
  flushSync();
  backend.ready().catch(() => undefined);
}
