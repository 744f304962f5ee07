// The organisation: its meshes, those with problems first.
import { useQueries, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Boxes, ChevronRight, Plus } from "lucide-react";
import { meshesQuery, proxiesQuery, servicesQuery, whoamiQuery } from "../api/queries";
import type { Mesh, ProxyView } from "../api/types";
import { ReadOnlyNote, useMay } from "../ui/access";
import { Badge, Card, linkButton, PageHead } from "../ui/basics";
import { Empty, Loaded } from "../ui/states";
import { Ago } from "../ui/time";
import { count } from "./health";

export function Home() {
  const who = useQuery(whoamiQuery());
  const meshes = useQuery(meshesQuery());
  const may = useMay("meshes:write");
  const create = may ? (
    <Link to="/meshes/new" className={linkButton("primary")}>
      <Plus aria-hidden className="size-4" /> New mesh
    </Link>
  ) : (
    <button
      type="button"
      disabled
      className={linkButton("primary")}
      title="Needs the permission meshes:write"
    >
      <Plus aria-hidden className="size-4" /> New mesh
    </button>
  );
  return (
    <>
      <title>Meshes · Heddle</title>
      <PageHead
        title="Meshes"
        about={who.data ? `All meshes of ${who.data.org.name}.` : "\u00a0"}
        actions={create}
      />
      <ReadOnlyNote permission="meshes:write" />
      <Loaded query={meshes} what="meshes" rows={3}>
        {(list) =>
          list.length === 0 ? (
            <Empty icon={<Boxes />} title="No mesh yet" action={create}>
              A mesh is a set of services that may find and call each other, with one certificate authority.
              Most people begin with one for each environment.
            </Empty>
          ) : (
            <Meshes meshes={list} />
          )
        }
      </Loaded>
    </>
  );
}

function Meshes({ meshes }: { meshes: Mesh[] }) {
  const proxies = useQueries({ queries: meshes.map((mesh) => proxiesQuery(mesh.name)) });
  const services = useQueries({ queries: meshes.map((mesh) => servicesQuery(mesh.name)) });
  const rows = meshes.map((mesh, index) => ({
    mesh,
    proxies: proxies[index]?.data,
    services: services[index]?.data?.length,
  }));
  const trouble = (list: ProxyView[] | undefined) => (list ? count(list).nacked + count(list).offline : 0);
  rows.sort((a, b) => trouble(b.proxies) - trouble(a.proxies));
  return (
    <ul className="space-y-3">
      {rows.map(({ mesh, proxies, services }) => (
        <li key={mesh.name}>
          <MeshCard mesh={mesh} proxies={proxies} services={services} />
        </li>
      ))}
    </ul>
  );
}

function MeshCard({ mesh, proxies, services }: { mesh: Mesh; proxies?: ProxyView[]; services?: number }) {
  const counts = proxies && count(proxies);
  return (
    <Card flush className="relative transition-colors hover:border-edge/60">
      <div className="grid grid-cols-[minmax(0,1fr)_auto_auto_auto_auto] items-center gap-x-10 px-5 py-4">
        <div className="min-w-0">
          <Link
            to="/meshes/$mesh"
            params={{ mesh: mesh.name }}
            className="font-semibold after:absolute after:inset-0 after:rounded-xl"
          >
            {mesh.display_name ?? mesh.name}
          </Link>
          <p className="truncate text-muted">
            {mesh.name} · changed <Ago at={mesh.meta.updated_at} />
          </p>
        </div>
        <Health counts={counts} />
        <Figure name="Services" value={services} />
        <Figure name="Proxies in sync" value={counts && `${counts.ready} / ${counts.total}`} />
        <ChevronRight aria-hidden className="size-4 text-edge" />
      </div>
    </Card>
  );
}

export function Health({ counts }: { counts: ReturnType<typeof count> | undefined }) {
  if (counts === undefined) return <Badge>Checking…</Badge>;
  if (counts.total === 0) return <Badge>No proxies yet</Badge>;
  if (counts.nacked > 0) return <Badge tone="bad" dot>{`${counts.nacked} rejecting`}</Badge>;
  if (counts.offline > 0) return <Badge tone="bad" dot>{`${counts.offline} offline`}</Badge>;
  if (counts.ready < counts.total)
    return (
      <Badge tone="warn" dot>
        Converging
      </Badge>
    );
  return (
    <Badge tone="ok" dot>
      Healthy
    </Badge>
  );
}

function Figure({ name, value }: { name: string; value: number | string | undefined }) {
  return (
    <dl className="w-28 text-right">
      <dt className="text-[0.8571rem] text-muted">{name}</dt>
      <dd className="font-medium tabular-nums">{value ?? "–"}</dd>
    </dl>
  );
}
