// Signing in again: the server asks for it before what cannot be taken back (RFC 9470). The request waits meanwhile, and is
// sent once more with the new session.
import { useSyncExternalStore } from "react";

type Answer = (confirmed: boolean) => void;

const listeners = new Set<() => void>();
let waiting: Answer[] = [];

function set(next: Answer[]) {
  waiting = next;
  for (const listener of listeners) listener();
}

export const again = {
  /** Whether an answer asks for it. */
  wanted: (response: Response) =>
    response.status === 401 &&
    (response.headers.get("www-authenticate") ?? "").includes("insufficient_user_authentication"),
  /** Asks whoever is there; false when they would rather not. Requests that wait at the same time are asked for once. */
  ask: () => new Promise<boolean>((resolve) => set([...waiting, resolve])),
  settle(confirmed: boolean) {
    const all = waiting;
    set([]);
    for (const answer of all) answer(confirmed);
  },
  subscribe(listener: () => void) {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
};

export function useAskedAgain(): boolean {
  return useSyncExternalStore(again.subscribe, () => waiting.length > 0);
}
