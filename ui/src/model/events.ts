// What the page Activity can be narrowed to.
import type { EventKind } from "../generated/EventKind";

export type KindGroup = "sign-ins" | "refreshes" | "programs" | "sign-outs" | "settings";

export const kindGroups: Record<KindGroup, readonly EventKind[]> = {
  "sign-ins": ["sign-in-started", "signed-in", "sign-in-failed", "callback-refused", "endpoint-moved"],
  refreshes: ["refreshed", "refresh-failed", "unsaved"],
  programs: ["handed-out", "refused", "allowed-once", "allowed-for-session", "allowed-always"],
  "sign-outs": ["signed-out", "revoked", "revocation-failed", "exported", "imported"],
  settings: [
    "renamed",
    "policy-changed",
    "provider-changed",
    "client-registered",
    "registration-removed",
    "registration-left",
    "locked",
    "sealed",
    "unlocked",
  ],
};
