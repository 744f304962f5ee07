// The services of a mesh in layers, callers before those whom they call; and the same as a table.

import dagre from "@dagrejs/dagre";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { clsx } from "clsx";
import { Waypoints } from "lucide-react";
import { useMemo } from "react";
import { allRulesQuery, meshQuery, proxiesQuery, servicesQuery } from "../api/queries";
import type { AccessRule, ProxyView } from "../api/types";
import { linkButton, PageHead } from "../ui/basics";
import { MeshCrumbs } from "../ui/crumbs";
import { SearchField, useFilter } from "../ui/filter";
import { Scroll } from "../ui/scroll";
import { Segments } from "../ui/segments";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { byService, count } from "./health";
import { ProxySummary } from "./services";

type Row = { service: string; rule: AccessRule };
interface Edge {
  from: string;
  to: string;
  kind: "allow" | "deny" | "some";
}

const WIDE = 184;
const HIGH = 58;
/** More than this is not a picture any more. */
const DRAWN = 60;

export function edgesOf(rows: Row[]): Edge[] {
  const pairs = new Map<string, Edge>();
  for (const { service, rule } of rows) {
    // Who may be anybody is no line of its own.
    for (const caller of rule.from ?? []) {
      // A service that may call itself is no arrow either.
      if (caller.service == null || caller.service === service) continue;
      const key = `${caller.service} ${service}`;
      const whole = (rule.to ?? []).length === 0;
      const before = pairs.get(key)?.kind;
      const kind =
        rule.action === "deny"
          ? whole
            ? "deny"
            : "some"
          : before === "deny" || before === "some"
            ? before
            : whole
              ? "allow"
              : "some";
      if (before !== "deny") pairs.set(key, { from: caller.service, to: service, kind });
    }
  }
  return [...pairs.values()];
}

/** The service that has most arrows. */
export function busiest(names: string[], edges: Edge[]): string {
  const arrows = new Map(names.map((name) => [name, 0]));
  for (const { from, to } of edges)
    for (const name of [from, to]) {
      const n = arrows.get(name);
      if (n !== undefined) arrows.set(name, n + 1);
    }
  return names.reduce((best, name) => ((arrows.get(name) ?? 0) > (arrows.get(best) ?? 0) ? name : best));
}

/** A service, first, and those that call it or are called by it. */
export function around(middle: string, names: string[], edges: Edge[]): string[] {
  const near = new Set([middle]);
  for (const { from, to } of edges) {
    if (from === middle) near.add(to);
    if (to === middle) near.add(from);
  }
  const known = new Set(names);
  return [...near].filter((name) => known.has(name));
}

export function Topology() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh/topology" });
  const services = useQuery(servicesQuery(mesh));
  const rules = useQuery(allRulesQuery(mesh));
  const proxies = useQuery(proxiesQuery(mesh));
  const { data: found } = useQuery(meshQuery(mesh));
  const { view, set } = useFilter();
  const table = view === "table";
  return (
    <>
      <title>{`Topology · ${mesh} · Heddle`}</title>
      <PageHead
        title="Topology"
        crumbs={<MeshCrumbs mesh={mesh} at="Topology" />}
        about="Who may call whom, as configured. An arrow is an access rule."
        actions={
          <Segments
            legend="View"
            options={[
              ["graph", "Graph"],
              ["table", "Table"],
            ]}
            value={table ? "table" : "graph"}
            set={(one) => set({ view: one === "table" ? "table" : undefined })}
          />
        }
      />
      <Loaded query={services} what="services">
        {(list) =>
          list.length === 0 ? (
            <Empty
              icon={<Waypoints />}
              title="Nothing to draw yet"
              action={
                <Link to="/meshes/$mesh/services/new" params={{ mesh }} className={linkButton("primary")}>
                  Add a service
                </Link>
              }
            >
              Services appear here as soon as they exist, with or without traffic.
            </Empty>
          ) : (
            <Loaded query={rules} what="access rules">
              {(rows) => (
                <View
                  mesh={mesh}
                  names={list.map((service) => service.name)}
                  edges={edgesOf(rows)}
                  proxies={proxies.data}
                  table={table}
                  open={found?.access_default === "allow"}
                />
              )}
            </Loaded>
          )
        }
      </Loaded>
    </>
  );
}

interface Shown {
  mesh: string;
  names: string[];
  edges: Edge[];
  proxies: ProxyView[] | undefined;
}

function View({ table, open, ...all }: Shown & { table: boolean; open: boolean }) {
  const { q, set } = useFilter();
  const wanted = q?.toLowerCase();
  // Whom the search names, and their neighbours.
  const near = (name: string) =>
    wanted === undefined ||
    name.includes(wanted) ||
    all.edges.some(
      (edge) =>
        (edge.from === name && edge.to.includes(wanted)) || (edge.to === name && edge.from.includes(wanted)),
    );
  const found = all.names.filter(near);
  // What is too much for one picture is begun in the middle, where most arrows meet.
  const middle = table || found.length <= DRAWN ? null : busiest(found, all.edges);
  const names = middle === null ? found : around(middle, found, all.edges).slice(0, DRAWN);
  const shown = {
    ...all,
    names,
    edges: all.edges.filter((edge) => names.includes(edge.from) && names.includes(edge.to)),
  };
  return (
    <>
      <div className="mb-4 flex items-center justify-between gap-6">
        <SearchField label="Show the neighbours of" q={q} set={(text) => set({ q: text })} />
        <Legend open={open} />
      </div>
      {middle !== null && (
        <p className="mb-4 text-muted">
          {found.length} services are too many for one picture: these are <b>{middle}</b>, where most arrows
          meet, and its neighbours. Search for another one, or look at the table.
        </p>
      )}
      {names.length === 0 ? (
        <Empty title="No service matches">Change what you search for to see others.</Empty>
      ) : table ? (
        <Twin {...shown} />
      ) : (
        <Graph {...shown} />
      )}
    </>
  );
}

function Legend({ open }: { open: boolean }) {
  return (
    <ul className="flex gap-5 text-muted">
      <li className="flex items-center gap-2">
        <span aria-hidden className="h-0.5 w-6 bg-ok" /> allowed
      </li>
      <li className="flex items-center gap-2">
        <span aria-hidden className="w-6 border-t-2 border-dashed border-warn" /> in part
      </li>
      <li className="flex items-center gap-2">
        <span aria-hidden className="h-0.5 w-6 bg-bad" /> denied
      </li>
      <li>no arrow: {open ? "allowed" : "denied"}</li>
    </ul>
  );
}

const strokes = { allow: "stroke-ok", deny: "stroke-bad", some: "stroke-warn" };

function Graph({ mesh, names, edges, proxies }: Shown) {
  const own = proxies && byService(proxies);
  const key = JSON.stringify([names, edges]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key is the names and the edges
  const layout = useMemo(() => {
    const graph = new dagre.graphlib.Graph();
    graph.setGraph({ rankdir: "LR", nodesep: 26, ranksep: 110, marginx: 24, marginy: 24 });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const name of names) graph.setNode(name, { width: WIDE, height: HIGH });
    for (const edge of edges) graph.setEdge(edge.from, edge.to);
    dagre.layout(graph);
    const { width = 0, height = 0 } = graph.graph();
    return { graph, width, height };
  }, [key]);
  const { graph, width, height } = layout;
  return (
    <Scroll
      label={`Graph: ${names.length} services, ${edges.length} arrows. The table has the same.`}
      className="rounded-xl border border-line bg-surface shadow-card"
    >
      <svg
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        className="mx-auto block"
        role="presentation"
      >
        <defs>
          {(["allow", "deny", "some"] as const).map((kind) => (
            <marker
              key={kind}
              id={`arrow-${kind}`}
              viewBox="0 0 8 8"
              refX="7"
              refY="4"
              markerWidth="7"
              markerHeight="7"
              orient="auto"
            >
              <path
                d="M0 0.5 7 4 0 7.5z"
                className={{ allow: "fill-ok", deny: "fill-bad", some: "fill-warn" }[kind]}
              />
            </marker>
          ))}
        </defs>
        {edges.map((edge) => {
          const points = (graph.edge(edge.from, edge.to)?.points ?? []) as { x: number; y: number }[];
          return (
            <path
              key={`${edge.from} ${edge.to}`}
              d={curve(points)}
              fill="none"
              strokeWidth={1.8}
              strokeDasharray={edge.kind === "some" ? "6 4" : undefined}
              className={strokes[edge.kind]}
              markerEnd={`url(#arrow-${edge.kind})`}
            />
          );
        })}
        {names.map((name) => {
          const { x, y } = graph.node(name);
          return (
            <foreignObject key={name} x={x - WIDE / 2} y={y - HIGH / 2} width={WIDE} height={HIGH}>
              <Link
                to="/meshes/$mesh/services/$service"
                params={{ mesh, service: name }}
                className="flex h-full flex-col justify-center rounded-lg border border-edge/50 bg-canvas px-3.5 hover:border-accent focus-visible:-outline-offset-2"
              >
                <span className="truncate font-semibold">{name}</span>
                <NodeHealth proxies={own && (own.get(name) ?? [])} />
              </Link>
            </foreignObject>
          );
        })}
      </svg>
    </Scroll>
  );
}

/** Through the points that the layout gives, without corners. */
function curve(points: { x: number; y: number }[]): string {
  const [first, ...rest] = points;
  const last = rest.at(-1);
  if (first === undefined || last === undefined) return "";
  const middle = rest.slice(0, -1).map((point, index) => {
    const next = rest[index + 1] ?? last;
    return `Q${point.x} ${point.y} ${(point.x + next.x) / 2} ${(point.y + next.y) / 2}`;
  });
  return `M${first.x} ${first.y} ${middle.join(" ")} L${last.x} ${last.y}`;
}

function NodeHealth({ proxies }: { proxies: ProxyView[] | undefined }) {
  if (proxies === undefined) return <span className="text-[0.8571rem] text-muted">checking…</span>;
  const counts = count(proxies);
  const bad = counts.nacked + counts.offline > 0;
  const tone =
    counts.total === 0
      ? "text-muted"
      : bad
        ? "text-bad"
        : counts.ready < counts.total
          ? "text-warn"
          : "text-ok";
  return (
    <span className={clsx("flex items-center gap-1.5 text-[0.8571rem]", tone)}>
      <span aria-hidden className="size-1.5 rounded-full bg-current" />
      {counts.total === 0 ? "no proxies" : `${counts.ready} / ${counts.total} in sync`}
    </span>
  );
}

function Twin({ mesh, names, edges, proxies }: Shown) {
  const own = proxies && byService(proxies);
  const word = (kind: Edge["kind"]) => ({ allow: "", deny: " (denied)", some: " (in part)" })[kind];
  return (
    <Table
      label="Topology"
      rows={names}
      id={(name) => name}
      columns={[
        {
          head: "Service",
          cell: (name) => (
            <Link
              to="/meshes/$mesh/services/$service"
              params={{ mesh, service: name }}
              className="font-medium text-accent hover:underline"
            >
              {name}
            </Link>
          ),
        },
        {
          head: "May call",
          wide: true,
          cell: (name) =>
            edges
              .filter((edge) => edge.from === name)
              .map((edge) => edge.to + word(edge.kind))
              .join(", ") || "–",
        },
        {
          head: "Called by",
          cell: (name) =>
            edges
              .filter((edge) => edge.to === name)
              .map((edge) => edge.from + word(edge.kind))
              .join(", ") || "–",
        },
        {
          head: "Proxies",
          cell: (name) => <ProxySummary proxies={own && (own.get(name) ?? [])} />,
        },
      ]}
    />
  );
}
