import { svelte } from "@sveltejs/vite-plugin-svelte";
import { svelteTesting } from "@testing-library/svelte/vite";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte(), svelteTesting()],
  clearScreen: false,
  server: {
    port: 5173,
    strictPort: true,
    // The sentences for problems exist once, beside the codes they belong to.
    fs: { allow: [".", "../src-tauri/core/messages"] },
  },
  build: {
    target: ["es2022", "safari16.4"],
    // The window's content security policy allows no data: scripts or fonts; what is built stays in files.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: {
    environment: "jsdom",
    // On a machine of two cores that builds and tests other things too, one that takes half a second took more than 20.
    testTimeout: 60_000,
    include: ["src/**/*.test.ts"],
    setupFiles: ["src/testing/setup.ts"],
  },
});
