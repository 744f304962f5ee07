// How a mesh is, judged from its proxies. Problems come first, and each says what it means for the traffic.
import type { Nack, ProxyState, ProxyView } from "../api/types";
import type { Tone } from "../ui/basics";

export const stateTone: Record<ProxyState, Tone> = {
  ready: "ok",
  connecting: "neutral",
  stale: "warn",
  nacked: "bad",
  offline: "bad",
};

export const stateWord: Record<ProxyState, string> = {
  ready: "In sync",
  connecting: "Connecting",
  stale: "Catching up",
  nacked: "Rejects configuration",
  offline: "Offline",
};

/** The proxies of each service. */
export function byService(proxies: ProxyView[]): Map<string, ProxyView[]> {
  const found = new Map<string, ProxyView[]>();
  for (const proxy of proxies) {
    const own = found.get(proxy.service);
    if (own) own.push(proxy);
    else found.set(proxy.service, [proxy]);
  }
  return found;
}

export interface Counts {
  total: number;
  connected: number;
  ready: number;
  nacked: number;
  offline: number;
  /** On their way: they have joined, or have not yet said yes to the newest revision. */
  behind: number;
}

export function count(proxies: ProxyView[]): Counts {
  const of = (state: ProxyState) => proxies.filter((proxy) => proxy.state === state).length;
  const offline = of("offline");
  return {
    total: proxies.length,
    connected: proxies.length - offline,
    ready: of("ready"),
    nacked: of("nacked"),
    offline,
    behind: of("connecting") + of("stale"),
  };
}

const parts: Record<string, string> = {
  CDS: "how to reach a service",
  EDS: "where the instances of a service are",
  LDS: "a port that it should listen on",
  RDS: "where requests go",
  SDS: "a certificate",
};

/** What Envoy said, in terms of what a person configured. */
export function explain(
  nack: Nack,
  proxy: Pick<ProxyView, "name">,
): { what: string; keeps: string; cause: string | null } {
  const part = parts[nack.type] ?? "a part of its configuration";
  const kind = nack.cause?.kind.replaceAll("_", " ");
  const raw = nack.raw.toLowerCase();
  const port = raw.includes("address already in use") || raw.includes("cannot bind");
  const what = port
    ? `${proxy.name} cannot listen on a port that it was given: another program on its host has it.`
    : `${proxy.name} does not accept ${part}.`;
  const cause = nack.cause
    ? `It comes from the ${kind} ${nack.cause.name}${nack.cause.pointer ? ` (${nack.cause.pointer})` : ""}, last changed in revision ${nack.cause.revision}.`
    : null;
  return {
    what,
    keeps: "It keeps the last good version of that part; everything else is up to date.",
    cause,
  };
}
