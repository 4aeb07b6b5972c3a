import { tauri } from "./backend";
import { start } from "./start";

void start(tauri, document.getElementById("app")!);
