import { mount, unmount } from "svelte";
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
      return larder;
    } catch (refused) {
      await new Promise<void>((again) => {
        const page = mount(Unreachable, {
          target,
          props: { problem: asProblem(refused), again: () => void unmount(page).then(again) },
        });
      });
    }
  }
}
