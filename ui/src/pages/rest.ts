// Everything but the first page: one piece, which is read when that is drawn.
import "../messages/catalogue";

export { default as Access } from "./Access.svelte";
export { default as Account } from "./Account.svelte";
export { default as Activity } from "./Activity.svelte";
export { default as Found } from "./Found.svelte";
export { default as NewProvider } from "./NewProvider.svelte";
export { default as Programs } from "./Programs.svelte";
export { default as Provider } from "./Provider.svelte";
export { default as Settings } from "./Settings.svelte";
export { default as SignIn } from "./SignIn.svelte";
export { default as Waiting } from "./Waiting.svelte";
export { default as Palette } from "../parts/Palette.svelte";
export { Placing } from "../model/placing.svelte";
export { default as Prompt } from "../parts/Prompt.svelte";
export { default as Shortcuts } from "../parts/Shortcuts.svelte";
