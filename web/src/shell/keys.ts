// What single keys do, wherever no text is being written. Who dictates to their machine, or hits keys by accident,
// turns them off (WCAG 2.1.4).
import { useEffect, useRef, useSyncExternalStore } from "react";

const OFF = "heddle.keys";
/** How long after a `g` the second key counts, in milliseconds. */
const TOGETHER = 1_500;
const NEVER = Number.NEGATIVE_INFINITY;

export interface Place {
  key: string;
  text: string;
  to: string;
}

/** Where `g` and a letter go: inside of a mesh, and outside of all. */
export const meshPlaces: Place[] = [
  { key: "o", text: "Overview", to: "/meshes/$mesh" },
  { key: "t", text: "Topology", to: "/meshes/$mesh/topology" },
  { key: "s", text: "Services", to: "/meshes/$mesh/services" },
  { key: "a", text: "Access", to: "/meshes/$mesh/access" },
  { key: "p", text: "Proxies", to: "/meshes/$mesh/proxies" },
  { key: "h", text: "History", to: "/meshes/$mesh/history" },
  { key: "j", text: "Join tokens", to: "/meshes/$mesh/join-tokens" },
  { key: "u", text: "Authorities", to: "/meshes/$mesh/authorities" },
  { key: "v", text: "Revocations", to: "/meshes/$mesh/revocations" },
  { key: "c", text: "Connect a proxy", to: "/meshes/$mesh/connect" },
];
export const orgPlaces: Place[] = [
  { key: "m", text: "Meshes", to: "/" },
  { key: "e", text: "Members", to: "/members" },
  { key: "b", text: "Service accounts", to: "/service-accounts" },
  { key: "r", text: "Roles", to: "/roles" },
  { key: "k", text: "API tokens", to: "/tokens" },
  { key: "w", text: "Webhooks", to: "/webhooks" },
  { key: "q", text: "Usage", to: "/usage" },
  { key: "y", text: "Your account", to: "/account" },
];

const listeners = new Set<() => void>();

export const singleKeys = {
  on: () => localStorage.getItem(OFF) !== "off",
  set(on: boolean) {
    if (on) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "off");
    for (const listener of listeners) listener();
  },
  subscribe(listener: () => void) {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
};

export const useSingleKeys = () => useSyncExternalStore(singleKeys.subscribe, singleKeys.on);

function writing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

export function useKeys(does: { palette: () => void; help: () => void; go: (key: string) => void }) {
  const latest = useRef(does);
  latest.current = does;
  useEffect(() => {
    let g = NEVER;
    const pressed = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        latest.current.palette();
        return;
      }
      const other = event.metaKey || event.ctrlKey || event.altKey;
      if (other || !singleKeys.on() || writing(event.target) || document.querySelector("dialog[open]"))
        return;
      const after = event.timeStamp - g < TOGETHER;
      g = NEVER;
      if (after) latest.current.go(event.key);
      else if (event.key === "g") g = event.timeStamp;
      else if (event.key === "?") latest.current.help();
      else if (event.key === "/") {
        const field = document.querySelector<HTMLInputElement>("main input[type=search]");
        field?.focus();
        if (field) event.preventDefault();
      }
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}
