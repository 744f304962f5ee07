// The credential of this tab. It lives in sessionStorage: gone with the tab, never in a URL, never in a log.
import { useSyncExternalStore } from "react";

const KEY = "heddle.token";
const listeners = new Set<() => void>();
let token = sessionStorage.getItem(KEY);

function set(next: string | null) {
  token = next;
  if (next === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, next);
  for (const listener of listeners) listener();
}

export const session = {
  token: () => token,
  begin: (next: string) => set(next),
  end: () => set(null),
  subscribe(listener: () => void) {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
};

export function useSignedIn(): boolean {
  return useSyncExternalStore(session.subscribe, () => token !== null);
}
