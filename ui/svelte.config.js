import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

export default {
  preprocess: vitePreprocess(),
  // What marks an element's styles stands at every element: in short.
  compilerOptions: { cssHash: ({ hash, css }) => `s${hash(css)}` },
};
