// Light, dark, or whatever the system says at the time. `theme.js` does the same before the first paint.
import { useEffect, useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "heddle.theme";
export const themeWord: Record<Theme, string> = { system: "system's", light: "light", dark: "dark" };
const listeners = new Set<() => void>();
const system = () => matchMedia("(prefers-color-scheme: dark)");

function chosen(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

function apply() {
  const choice = chosen();
  const dark = choice === "system" ? system().matches : choice === "dark";
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

export function useTheme() {
  const choice = useSyncExternalStore(subscribe, chosen);
  useEffect(() => {
    const query = system();
    query.addEventListener("change", apply);
    return () => query.removeEventListener("change", apply);
  }, []);
  // From the system's to the other one, so that the first click shows something.
  const round: Theme[] = system().matches ? ["system", "light", "dark"] : ["system", "dark", "light"];
  return {
    choice,
    next: round[(round.indexOf(choice) + 1) % round.length] ?? "system",
    choose(theme: Theme) {
      if (theme === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
      apply();
      for (const listener of listeners) listener();
    },
  };
}
