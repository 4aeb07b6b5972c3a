// What leads to a provider that can be signed in to: an address, a client of one's own, an issuer.
import type { NewProvider } from "../backend";
import type { ProviderName } from "../generated/ProviderName";
import { NOTHING_MORE, signInTimes } from "./attempts";
import type { Larder } from "./larder.svelte";

/** Looks at an address that was pasted, and shows what is there before anything opens. */
export async function look(larder: Larder, url: string): Promise<void> {
  await larder.run(async () => {
    const found = await larder.backend.find(url);
    if (larder.place.page === "sign-in") larder.go({ page: "found", url, found });
  });
}

/** Signs in to what is at an address. */
export async function adopt(larder: Larder, url: string): Promise<void> {
  await larder.run(async () => {
    const provider = await larder.backend.adopt(url);
    await larder.catchUp();
    if (larder.place.page === "found") void larder.signIn(provider, null);
  });
}

/** Saves a client of its person's, and signs in with it. */
export async function saveClient(
  larder: Larder,
  provider: ProviderName,
  clientId: string,
  server: string | null,
  secret: string | null,
): Promise<void> {
  if (await larder.succeeds(() => larder.backend.saveClient(provider, clientId, server, secret)))
    await larder.signIn(provider, null);
}

/** Adds a provider, and follows the sign-in that begins there. */
export async function addProvider(larder: Larder, added: NewProvider): Promise<void> {
  await larder.run(async () => {
    const before = signInTimes(larder.house);
    const [provider, attempt] = await larder.backend.addProvider(added);
    await larder.catchUp();
    if (larder.place.page !== "new-provider") return;
    const followed = {
      provider,
      account: null,
      attempt,
      redirect: null,
      more: NOTHING_MORE,
      refused: null,
      before,
    };
    larder.go({ page: "waiting", followed });
  });
}
