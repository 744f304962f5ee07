// How the ports of a service are called: in mutual TLS, in plain text or in either.
import type { ReactNode } from "react";
import type { Schemas } from "../api/client";
import { Badge, type Tone } from "../ui/basics";

type Known = Schemas["MtlsMode"];
type InForce = Schemas["Effective"]["mtls"][number];

/** Empty: somebody else says it. */
export type Mode = Known | "";

export const mtlsOptions = (unsaid: string): [value: Mode, text: string][] => [
  ["", unsaid],
  ["strict", "strict"],
  ["permissive", "permissive"],
  ["off", "off"],
];

/** What a form sends of it. */
export const said = (mode: Mode): { mtls?: Known } => (mode === "" ? {} : { mtls: mode });

export const mtlsHint =
  "Strict: nothing but mutual TLS. Permissive: plain text as well, for callers without a proxy. Off: callers use plain text. Between strict and off, go by permissive.";

const tones: Record<Known, Tone> = { strict: "ok", permissive: "warn", off: "bad" };

const from: Record<InForce["from"], string> = {
  built_in: "Heddle's default",
  mesh: "the mesh says so",
  service: "the service says so",
  port: "the port says so",
  protocol: "as every tcp port",
};

/** The mode of each port and who says so; of all together where they agree. */
export function Modes({ ports }: { ports: InForce[] }): ReactNode {
  const [first] = ports;
  const agree = ports.every((one) => one.mode === first?.mode && one.from === first.from);
  const shown = agree ? ports.slice(0, 1) : ports;
  return (
    <ul className="space-y-1">
      {shown.map((one) => (
        <li key={one.port}>
          {!agree && <span>{one.port}: </span>}
          <Badge tone={tones[one.mode]}>{one.mode}</Badge>{" "}
          <span className="text-muted">{from[one.from]}</span>
        </li>
      ))}
    </ul>
  );
}
