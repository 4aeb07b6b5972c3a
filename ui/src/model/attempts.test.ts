import { describe, expect, it } from "vitest";
import { account, attempt, house, provider } from "../testing/houses";
import { loopbackHelps, NOTHING_MORE, outcome, signInTimes, type Followed } from "./attempts";

const old = account("old", { provider: "github", signed_in_at: 1 });
const follow = (change: Partial<Followed> = {}): Followed => ({
  provider: "github",
  account: null,
  attempt: "attempt-1",
  redirect: null,
  more: NOTHING_MORE,
  refused: null,
  before: signInTimes(house({ accounts: [old] })),
  ...change,
});

describe("what became of a sign-in", () => {
  it("follows its own attempt, whatever others do", () => {
    const others = [attempt({ id: "other", phase: "failed" }), attempt()];
    expect(outcome(follow(), house({ attempts: others })).is).toBe("waiting");
    expect(outcome(follow(), house({ attempts: [attempt({ phase: "finishing" })] })).is).toBe("finishing");
    expect(outcome(follow({ attempt: null }), house()).is).toBe("opening");
  });

  it("finds the new account", () => {
    const accounts = [old, account("new", { provider: "github", signed_in_at: 9 })];
    expect(outcome(follow(), house({ accounts }))).toEqual({ is: "done", account: "id-new" });
  });

  it("finds the account that was signed in again", () => {
    const again = { ...old, signed_in_at: 9 };
    expect(outcome(follow(), house({ accounts: [again] }))).toEqual({ is: "done", account: "id-old" });
    expect(outcome(follow({ account: "id-old" }), house({ accounts: [again] })).is).toBe("done");
  });

  it("takes no other account for its result", () => {
    const elsewhere = account("new", { provider: "google", signed_in_at: 9 });
    expect(outcome(follow(), house({ accounts: [old, elsewhere] })).is).toBe("over");
    const sibling = account("new", { provider: "github", signed_in_at: 9 });
    expect(outcome(follow({ account: "id-old" }), house({ accounts: [old, sibling] })).is).toBe("over");
  });

  it("keeps why it failed", () => {
    const problem = { code: "consent-denied", provider: "GitHub" } as const;
    const failed = [attempt({ phase: "failed", problem })];
    expect(outcome(follow(), house({ attempts: failed }))).toEqual({ is: "failed", problem });
    expect(outcome(follow({ attempt: null, refused: problem }), house())).toEqual({ is: "failed", problem });
  });
});

describe("this computer's own address", () => {
  const both = provider("demo", "Demo", "https://login.example");
  it("is offered where the link is not ours and the provider takes the address", () => {
    expect(loopbackHelps({ code: "scheme-unhandled" }, both)).toBe(true);
    expect(loopbackHelps({ code: "scheme-taken", handler: "other.desktop" }, both)).toBe(true);
  });
  it("is not offered where it would not help", () => {
    expect(loopbackHelps({ code: "keychain-locked" }, both)).toBe(false);
    expect(loopbackHelps(null, both)).toBe(false);
    expect(loopbackHelps({ code: "scheme-unhandled" }, undefined)).toBe(false);
    expect(loopbackHelps({ code: "scheme-unhandled" }, { ...both, redirects: ["deep-link"] })).toBe(false);
  });
});
