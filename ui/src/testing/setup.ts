import { vi } from "vitest";
import { bring } from "../pages/later.svelte";

// There is nothing to draw on in jsdom; what a timeline says is said in words, and those are tested.
vi.mock("../parts/Chart.svelte", () => ({ default: () => {} }));

// A test looks at a window that has been open for a moment.
await bring();
