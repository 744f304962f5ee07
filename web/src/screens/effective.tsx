// The settings that are in force, and for each who says so.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Schemas } from "../api/client";
import { effectiveQuery } from "../api/queries";
import { Badge, Button, CardTitle, type Tone } from "../ui/basics";
import { Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Quiet } from "./quiet";

type Setting = Schemas["EffectiveSetting"];
type Level = Setting["from"]["level"];

export function EffectiveSettings({
  mesh,
  service,
  route,
}: {
  mesh: string;
  service: string;
  route?: string;
}) {
  const query = useQuery({
    ...effectiveQuery(mesh, service, route),
    select: (answer) => answer.items,
  });
  // What somebody has set is what one comes for; the rest is there for the asking.
  const [whole, setWhole] = useState(false);
  return (
    <section>
      <CardTitle
        aside={
          <Button kind="quiet" className="-mr-3.5" aria-pressed={whole} onClick={() => setWhole(!whole)}>
            {whole ? "Hide defaults" : "Show defaults"}
          </Button>
        }
      >
        Settings in force
      </CardTitle>
      <Loaded query={query} what="settings" rows={3}>
        {(items) => {
          const shown = whole ? items : items.filter((one) => one.from.level !== "built_in");
          if (shown.length === 0)
            return <Quiet>Nobody has set anything: all {items.length} settings are Heddle's defaults.</Quiet>;
          return (
            <>
              <Table
                label="Settings in force"
                rows={shown}
                id={(one) => one.field}
                columns={[
                  {
                    head: "Setting",
                    cell: (one) => <span className="font-medium">{fieldText(one.field)}</span>,
                  },
                  { head: "Value", wide: true, cell: (one) => <code>{valueText(one.value)}</code> },
                  {
                    head: "Set by",
                    cell: (one) => <From mesh={mesh} service={service} route={route} from={one.from} />,
                  },
                  {
                    head: "Since",
                    cell: ({ from }) =>
                      from.revision === undefined ? (
                        <span className="text-muted">always</span>
                      ) : (
                        <Link
                          to="/meshes/$mesh/history/$revision"
                          params={{ mesh, revision: String(from.revision) }}
                          search={{}}
                          className="text-accent underline underline-offset-2"
                        >
                          revision {from.revision}
                        </Link>
                      ),
                  },
                ]}
              />
              <p className="mt-2 text-muted">
                A route's settings win over those of its service, these over the service's profile, and these
                over the mesh's.
              </p>
            </>
          );
        }}
      </Loaded>
    </section>
  );
}

export const fieldText = (field: string) => field.replaceAll("_", " ").replaceAll(".", " › ");

export function valueText(value: unknown): string {
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value))
    return value.length === 0
      ? "none"
      : value.map((one) => (typeof one === "object" ? JSON.stringify(one) : one)).join(", ");
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}

const levels: Record<Level, { word: string; tone: Tone }> = {
  built_in: { word: "Heddle", tone: "neutral" },
  mesh: { word: "mesh", tone: "neutral" },
  profile: { word: "profile", tone: "accent" },
  service: { word: "service", tone: "ok" },
  route: { word: "route", tone: "warn" },
  upstream: { word: "caller", tone: "warn" },
};

function From({
  mesh,
  service,
  route,
  from,
}: {
  mesh: string;
  service: string;
  route: string | undefined;
  from: Setting["from"];
}) {
  const look = "font-medium text-accent hover:underline";
  const name = from.name ?? "";
  const object =
    from.level === "mesh" ? (
      <Link to="/meshes/$mesh/settings" params={{ mesh }} className={look}>
        {name}
      </Link>
    ) : from.level === "service" ? (
      <Link to="/meshes/$mesh/services/$service/settings" params={{ mesh, service }} className={look}>
        {name}
      </Link>
    ) : from.level === "route" && route !== undefined ? (
      <Link
        to="/meshes/$mesh/services/$service/routes/$route"
        params={{ mesh, service, route }}
        className={look}
      >
        {name}
      </Link>
    ) : (
      <span>{from.level === "built_in" ? "by default" : name}</span>
    );
  return (
    <span className="flex items-center gap-2">
      <Badge tone={levels[from.level].tone}>{levels[from.level].word}</Badge>
      {object}
    </span>
  );
}
