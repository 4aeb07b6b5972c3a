import { expect, it } from "vitest";
import { drop, step } from "./moving";

const ids = ["a", "b", "c"];

it("moves by a step, and not beyond the ends", () => {
  expect(step(ids, "b", -1)).toEqual({ before: "a" });
  expect(step(ids, "a", 1)).toEqual({ before: "c" });
  expect(step(ids, "b", 1)).toEqual({ before: null });
  expect(step(ids, "a", -1)).toBeNull();
  expect(step(ids, "c", 1)).toBeNull();
  expect(step(ids, "gone", 1)).toBeNull();
});

it("asks for nothing where something is dropped on its own place", () => {
  expect(drop(ids, "a", null)).toEqual({ before: null });
  expect(drop(ids, "c", "a")).toEqual({ before: "a" });
  expect(drop(ids, "a", "a")).toBeNull();
  expect(drop(ids, "a", "b")).toBeNull();
  expect(drop(ids, "c", null)).toBeNull();
});
