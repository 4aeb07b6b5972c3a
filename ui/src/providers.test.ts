import { fireEvent, render, screen } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import App from "./App.svelte";
import { Larder } from "./model/larder.svelte";
import { TestingBackend } from "./testing/backend";
import { attempt, house, mastodon, provider, unregistered } from "./testing/houses";

let backend: TestingBackend;
let larder: Larder;

async function open(first = house({ providers: [unregistered("discord"), unregistered("google"), demo] })) {
  backend = new TestingBackend(first);
  larder = await Larder.open(backend);
  render(App, { larder });
  backend.lead("sign-in");
  await tick();
}
const demo = provider("demo", "Demo", "http://127.0.0.1:8917", true);
const button = (name: string | RegExp) => screen.getByRole("button", { name });
const field = (name: string) => screen.getByLabelText<HTMLInputElement>(name);
const type = (name: string, value: string) => fireEvent.input(field(name), { target: { value } });
const settle = () => vi.advanceTimersByTimeAsync(20);
const heading = (name: string) => screen.getByRole("heading", { name });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a provider whose client is not registered yet", () => {
  it("stands after those that are ready, and says what it needs", async () => {
    await open();
    const tiles = [...document.querySelectorAll(".tile")].map((tile) => tile.textContent);
    expect(tiles[0]).toContain("Demo");
    expect(tiles[1]).toContain("Needs a client of yours");
    await fireEvent.click(button(/Google/));
    expect(backend.asked).toEqual([]);
    expect(heading("Sign in to Google")).toBeTruthy();
  });

  it("leads through the steps, to the page, and to the redirect", async () => {
    await open();
    await fireEvent.click(button(/Discord/));
    expect(screen.getByText(/switch “Public Client” on/)).toBeTruthy();
    expect(document.activeElement).toBe(button("Open discord.com"));
    await fireEvent.click(button("Open discord.com"));
    expect(screen.getByText("dev.larder.desktop:/callback")).toBeTruthy();
    await fireEvent.click(button("Copy"));
    await settle();
    expect(button("Copied")).toBeTruthy();
    expect(screen.queryByLabelText("Client secret")).toBeNull();
    await type("Client ID", " 42 ");
    await fireEvent.click(button("Save and sign in"));
    await settle();
    expect(backend.asked).toEqual([
      "openRegistration discord",
      "copyRedirect discord",
      "saveClient discord 42 null",
      "signIn discord null",
    ]);
    expect(screen.getByText("Continue in your browser")).toBeTruthy();
  });

  it("takes a secret, hides it, and keeps nothing of it", async () => {
    await open();
    await fireEvent.click(button(/Google/));
    expect(screen.queryByText("The redirect to write down there, to the letter")).toBeNull();
    expect(field("Client secret").type).toBe("password");
    await type("Client ID", "id");
    await type("Client secret", "s3cret");
    backend.refusal = { code: "keychain-locked" };
    await fireEvent.click(button("Save and sign in"));
    expect(field("Client secret").value).toBe("");
    await settle();
    expect(backend.asked).toEqual(["saveClient google id s3cret"]);
    expect(screen.getByRole("alert").textContent).toMatch(/Your keychain is locked/);
    expect(document.body.innerHTML).not.toContain("s3cret");
    expect(field("Client ID").value).toBe("id");
  });

  it("is left by Esc for the providers", async () => {
    await open();
    await fireEvent.click(button(/Google/));
    await fireEvent.keyDown(document.activeElement!, { key: "Escape" });
    expect(heading("Sign in")).toBeTruthy();
  });
});

describe("a provider of which everybody has an own server", () => {
  it("asks for it, and says what could not be verified", async () => {
    await open(house({ providers: [mastodon(), demo] }));
    await fireEvent.click(button(/Mastodon/));
    expect(screen.getByText(/could be found in public documentation/)).toBeTruthy();
    await type("Your server's address", " https://social.example ");
    await type("Client ID", "id");
    await type("Client secret", "s3cret");
    await fireEvent.click(button("Save and sign in"));
    await settle();
    expect(backend.asked[0]).toBe("saveClient mastodon id https://social.example s3cret");
  });
});

describe("an address that is pasted", () => {
  const look = async (client: "registration" | null) => {
    await open();
    backend.found = {
      issuer: "https://id.example",
      resource: "https://mcp.example/mcp",
      client,
      title: "mcp.example",
      scopes: ["openid"],
    };
    await type("Find a provider", "https://mcp.example/mcp");
    await fireEvent.keyDown(field("Find a provider"), { key: "Enter" });
    await settle();
    expect(heading("Sign in to mcp.example")).toBeTruthy();
    expect(backend.asked).toEqual(["find https://mcp.example/mcp"]);
  };

  it("shows what is there before anything opens, and then signs in", async () => {
    await look("registration");
    expect(screen.getByText("https://id.example")).toBeTruthy();
    expect(screen.getByText(/registers itself there first/)).toBeTruthy();
    await fireEvent.click(button("Continue"));
    await settle();
    expect(backend.asked.slice(1)).toEqual(["adopt https://mcp.example/mcp", "signIn demo null"]);
  });

  it("leads to a client of one's own where it takes no registrations", async () => {
    await look(null);
    expect(screen.queryByRole("button", { name: "Continue" })).toBeNull();
    await fireEvent.click(button("Add a provider…"));
    expect(heading("Any OpenID provider")).toBeTruthy();
  });
});

describe("a sign-in by device code", () => {
  it("shows the code, the address and the picture, and opens nothing by itself", async () => {
    const waiting = attempt({
      provider: "demo",
      redirect: "device",
      device: {
        user_code: "WDJB-MJHT",
        verification_uri: "https://id.example/device",
        verification_uri_complete: "https://id.example/device?user_code=WDJB-MJHT",
      },
    });
    await open(house({ providers: [demo], attempts: [waiting] }));
    larder.go({
      page: "waiting",
      followed: {
        provider: "demo",
        account: null,
        attempt: waiting.id,
        redirect: "device",
        more: { scopes: [], anew: false },
        refused: null,
        before: new Map(),
      },
    });
    await settle();
    expect(screen.getByText("WDJB-MJHT")).toBeTruthy();
    expect(screen.getByText("https://id.example/device")).toBeTruthy();
    expect(screen.getByRole("img", { name: "QR code of https://id.example/device" })).toBeTruthy();
    expect(backend.asked).toEqual([]);
    await fireEvent.click(button("Open here"));
    expect(backend.asked).toEqual(["openAgain attempt-1"]);
  });
});

describe("any OpenID provider", () => {
  it("is added with the redirect that its person chose, and signed in to", async () => {
    await open();
    await fireEvent.click(button("Add a provider…"));
    await settle();
    expect(screen.getByText("dev.larder.desktop:/callback")).toBeTruthy();
    await fireEvent.click(screen.getByLabelText("To this computer's own address"));
    await settle();
    expect(screen.getByText("http://127.0.0.1/callback")).toBeTruthy();
    await fireEvent.click(button("Copy"));
    await type("Name", "Work");
    await type("Issuer", "https://login.example.com");
    await type("Client ID", "larder");
    await fireEvent.click(button("Add and sign in"));
    await settle();
    expect(backend.asked).toEqual([
      "copyOwnRedirect loopback",
      "addProvider Work https://login.example.com larder openid email profile offline_access loopback",
    ]);
    expect(heading("Sign in to Work")).toBeTruthy();
    expect(screen.getByText(/a page of Larder's says that you can close it/)).toBeTruthy();
  });

  it("takes a client's secret once, and keeps it nowhere", async () => {
    await open();
    await fireEvent.click(button("Add a provider…"));
    await type("Name", "Work");
    await type("Issuer", "https://login.example.com");
    await type("Client ID", "larder");
    await type("Client secret, if it has one", "s3cret");
    backend.refusal = { code: "not-an-issuer", issuer: "https://login.example.com", detail: "404" };
    await fireEvent.click(button("Add and sign in"));
    await settle();
    expect(backend.asked).toEqual([
      "addProvider Work https://login.example.com larder openid email profile offline_access deep-link s3cret",
    ]);
    expect(field("Client secret, if it has one").value).toBe("");
  });

  it("keeps what was typed where the issuer is none", async () => {
    await open();
    await fireEvent.click(button("Add a provider…"));
    await type("Name", "Work");
    await type("Issuer", "https://example.com");
    await type("Client ID", "larder");
    backend.refusal = { code: "not-an-issuer", issuer: "https://example.com", detail: "404" };
    await fireEvent.click(button("Add and sign in"));
    await settle();
    expect(screen.getByRole("alert").textContent).toMatch(/is not an issuer/);
    expect(field("Issuer").value).toBe("https://example.com");
  });
});

describe("how the answer comes back", () => {
  it("by this computer's own address, where the link is another program's", async () => {
    await open();
    backend.refusal = { code: "scheme-taken", handler: "other.desktop" };
    await fireEvent.click(button(/Demo/));
    await settle();
    expect(screen.getByText(/Another program, other.desktop/)).toBeTruthy();
    await fireEvent.click(button("Use this computer's own address instead"));
    await settle();
    expect(backend.asked).toEqual(["signIn demo null", "signIn demo null loopback"]);
    expect(screen.getByText(/a page of Larder's says that you can close it/)).toBeTruthy();
  });

  it("by hand, where nothing else leads back", async () => {
    await open();
    await fireEvent.click(button(/Demo/));
    await settle();
    backend.becomeAttempt("new-1", { redirect: "paste" });
    await tick();
    expect(screen.getByText(/a page that does not load/)).toBeTruthy();
    const detail = "the clipboard holds no address of a page that a sign-in ended up at";
    backend.refusal = { code: "bad-callback", detail };
    await fireEvent.click(button("Paste the address"));
    await settle();
    expect(screen.getByRole("alert").textContent).toContain(detail);
    await fireEvent.click(button("Paste the address"));
    await settle();
    expect(screen.queryByRole("alert")).toBeNull();
    expect(backend.asked.slice(1)).toEqual(["pasteAddress", "pasteAddress"]);
  });

  it("leads to what is missing, where a secret is", async () => {
    await open();
    backend.refusal = { code: "secret-needed", provider: "demo" };
    await fireEvent.click(button(/Demo/));
    await settle();
    await fireEvent.click(button("Set it up"));
    expect(field("Client ID").value).toBe("larder");
  });
});
