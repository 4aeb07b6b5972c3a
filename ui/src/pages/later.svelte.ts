// The rest of the window comes once its first page is drawn: reading it takes the engine 20 ms that nobody should wait.
type Rest = typeof import("./rest");

let rest: Rest | null = $state.raw(null);

/** With more accounts than these, only the rows in sight exist; how that is done comes with the rest. */
export const MANY = 60;

/** What has come of it. */
export const later = (): Rest | null => rest;

/** Has it come, once. */
export async function bring(): Promise<void> {
  rest ??= await import("./rest");
}
