import { vi } from "vitest";

// There is nothing to draw on in jsdom; what a timeline says is said in words, and those are tested.
vi.mock("../parts/Chart.svelte", () => ({ default: () => {} }));
