import { expect, it } from "vitest";
import kindType from "../generated/EventKind.ts?raw";
import { kindGroups } from "./events";

it("has every kind of event in one group", () => {
  const kinds = [...kindType.matchAll(/"([a-z-]+)"/g)].map((found) => found[1]!);
  expect(kinds.length).toBeGreaterThan(20);
  expect(Object.values(kindGroups).flat().toSorted()).toEqual(kinds.toSorted());
});
