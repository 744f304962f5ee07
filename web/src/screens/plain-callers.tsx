// Who would be turned away if a service took mutual TLS alone, by the word of its proxies.
import { useQuery } from "@tanstack/react-query";
import type { Schemas } from "../api/client";
import type { Problem } from "../api/problem";
import { readinessQuery } from "../api/queries";
import { Badge, CardTitle, Mono, type Tone } from "../ui/basics";
import { Check } from "../ui/form";
import { Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago } from "../ui/time";
import { Quiet } from "./quiet";

type Port = Schemas["PortReadiness"];

const states: Record<Port["state"], [tone: Tone, text: string]> = {
  strict: ["ok", "strict"],
  ready: ["ok", "ready"],
  unknown: ["warn", "unknown"],
  callers_left: ["bad", "callers left"],
};

/** An address, or all that came after so many others. */
export const callerText = (address: string | null, probably: string[]) =>
  probably.length === 0 ? (address ?? "others") : `${address ?? "others"}, probably ${probably.join(" or ")}`;

export function PlainCallers({ mesh, service }: { mesh: string; service: string }) {
  const query = useQuery(readinessQuery(mesh, service));
  return (
    <section>
      <CardTitle>Who still calls in plain text</CardTitle>
      <Loaded query={query} what="callers" rows={2}>
        {(found) =>
          found.state === "strict" ? (
            <Quiet>Nobody can: every port takes mutual TLS alone.</Quiet>
          ) : (
            <div className="space-y-3">
              <ul className="space-y-1">
                {found.ports.map((port) => (
                  <li key={port.port}>
                    {found.ports.length > 1 && <span>{port.port}: </span>}
                    <Badge tone={states[port.state][0]}>{states[port.state][1]}</Badge>{" "}
                    {port.state !== "callers_left" && <span className="text-muted">{port.reason}</span>}
                  </li>
                ))}
              </ul>
              <Callers ports={found.ports} />
            </div>
          )
        }
      </Loaded>
    </section>
  );
}

function Callers({ ports }: { ports: Port[] }) {
  const rows = ports.flatMap((port) => port.callers.map((caller) => ({ port: port.port, caller })));
  if (rows.length === 0) return null;
  return (
    <>
      <Table
        label="Callers in plain text"
        rows={rows}
        id={({ port, caller }) => `${port} ${caller.address}`}
        columns={[
          { head: "Caller", cell: ({ caller }) => <Mono>{callerText(caller.address, [])}</Mono> },
          { head: "Probably", wide: true, cell: ({ caller }) => caller.probably.join(" or ") || "–" },
          ...(ports.length > 1 ? [{ head: "Port", cell: (row: { port: string }) => row.port }] : []),
          { head: "Requests", number: true, cell: ({ caller }) => caller.requests },
          { head: "Last seen", cell: ({ caller }) => <Ago at={caller.last_seen} /> },
          {
            head: "If strict",
            cell: ({ caller }) =>
              caller.would_fail ? (
                <Badge tone="bad">would fail</Badge>
              ) : (
                <span className="text-muted">as now</span>
              ),
          },
        ]}
      />
      <p className="text-muted">Counts are “at least”: calls do not wait for a report.</p>
    </>
  );
}

/** What the server wants to hear before it closes a port to somebody. */
export function AcceptPlainCallers({
  problem,
  accepted,
  accept,
}: {
  problem: Problem | null;
  accepted: boolean;
  accept: (accepted: boolean) => void;
}) {
  const asked = problem?.violations.some((one) => one.code === "HED-2055") ?? false;
  if (!asked && !accepted) return null;
  return (
    <Check
      label="Their calls may fail"
      hint="Makes ports strict although somebody called them in plain text within the last day."
      checked={accepted}
      onChange={accept}
    />
  );
}
