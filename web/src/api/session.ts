// The credential of this tab: what a member's session has, or an API token. It lives in sessionStorage: gone with the tab,
// never in a URL, never in a log.
import { useSyncExternalStore } from "react";
import type { components } from "./schema";

type SignedIn = components["schemas"]["SignedIn"];

interface Session {
  uid: string;
  access: string;
  /** Until when the access token works, by the clock of this machine. */
  until: number;
  /** Gets the next access token, once. */
  refresh: string;
}

const TOKEN = "heddle.token";
const SESSION = "heddle.session";
/** Another access token is asked for this long before the old one ends. Tabs that share a session differ in it. */
const MARGIN = 60_000 + Math.random() * 60_000;

const listeners = new Set<() => void>();
let token = sessionStorage.getItem(TOKEN);
let current = read();
let ended = false;
let refreshing: Promise<void> | null = null;

function read(): Session | null {
  try {
    return JSON.parse(sessionStorage.getItem(SESSION) ?? "null");
  } catch {
    return null;
  }
}

function set(nextToken: string | null, nextSession: Session | null) {
  [token, current] = [nextToken, nextSession];
  const keep = (key: string, text: string | null) =>
    text === null ? sessionStorage.removeItem(key) : sessionStorage.setItem(key, text);
  keep(TOKEN, token);
  keep(SESSION, current && JSON.stringify(current));
  for (const listener of listeners) listener();
}

// A tab that was duplicated has the same session. A refresh secret works once, so whoever uses it tells the others.
const others = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("heddle.session");
others?.addEventListener("message", ({ data }: MessageEvent<Session>) => {
  if (current !== null && data.uid === current.uid) set(null, data);
});

const sessionOf = (answer: SignedIn): Session => ({
  uid: answer.session.uid ?? "",
  access: answer.access_token,
  until: Date.now() + answer.expires_in * 1000,
  refresh: answer.refresh_token,
});

async function refresh(before: Session): Promise<void> {
  const answer = await fetch(`${location.origin}/v1/sessions/refreshes`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ refresh_token: before.refresh }),
    cache: "no-store",
  });
  // Signed out while this was under way.
  if (current?.uid !== before.uid) return;
  if (answer.ok) {
    const next = sessionOf(await answer.json());
    set(null, next);
    others?.postMessage(next);
  } else if (answer.status === 401) {
    session.end(true);
  } else {
    throw new Error(`The server answered ${answer.status} to a refresh.`);
  }
}

export const session = {
  token: () => current?.access ?? token,
  uid: () => current?.uid ?? null,
  /** Whether the last one ended by itself: it expired, or was ended elsewhere. */
  ended: () => ended,
  beginWithToken(next: string) {
    ended = false;
    set(next, null);
  },
  begin(answer: SignedIn) {
    ended = false;
    set(null, sessionOf(answer));
  },
  end(byItself = false) {
    ended = byItself;
    set(null, null);
  },
  /** What to send a request with: an access token that is about to end is exchanged first. */
  async fresh(): Promise<string | null> {
    if (current !== null && current.until - Date.now() < MARGIN) {
      refreshing ??= refresh(current).finally(() => {
        refreshing = null;
      });
      // An access token that still works is good enough when there was no answer.
      await refreshing.catch((error: unknown) => {
        if (current !== null && current.until <= Date.now()) throw error;
      });
    }
    return session.token();
  },
  subscribe(listener: () => void) {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
};

export function useSignedIn(): boolean {
  return useSyncExternalStore(session.subscribe, () => session.token() !== null);
}
