import type { EventView } from "../generated/EventView";
import { plainSentence, plural, t } from "../messages";
import { programName } from "./program";

/** What happened at a moment, in one line. */
export function said(event: EventView): string {
  const what = [t(`event.${event.kind}`)];
  if (event.program) what.push(programName(event.program));
  if (event.count > 1) what.push(plural("timeline.times", event.count));
  if (event.problem) what.push(plainSentence(event.problem));
  return what.join(" · ");
}
