import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { Boxes, Plus } from "lucide-react";
import { proxiesQuery, servicesQuery } from "../api/queries";
import type { ProxyView, Service } from "../api/types";
import { ReadOnlyNote } from "../ui/access";
import { ActionLink } from "../ui/action-link";
import { Badge, PageHead } from "../ui/basics";
import { MeshCrumbs } from "../ui/crumbs";
import { SearchField, useFilter } from "../ui/filter";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago } from "../ui/time";
import { byService, count } from "./health";

export function Services() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh/services" });
  const services = useQuery(servicesQuery(mesh));
  const proxies = useQuery(proxiesQuery(mesh));
  const { q, set } = useFilter();
  const add = (
    <ActionLink
      permission="config:write"
      link={(className, children) => (
        <Link to="/meshes/$mesh/services/new" params={{ mesh }} className={className}>
          {children}
        </Link>
      )}
    >
      <Plus aria-hidden className="size-4" /> Add service
    </ActionLink>
  );
  return (
    <>
      <title>{`Services · ${mesh} · Heddle`}</title>
      <PageHead title="Services" crumbs={<MeshCrumbs mesh={mesh} at="Services" />} actions={add} />
      <ReadOnlyNote permission="config:write" />
      <Loaded query={services} what="services">
        {(list) =>
          list.length === 0 ? (
            <Empty icon={<Boxes />} title="No services yet" action={add}>
              A service is a name that others call, and the port where its instances listen.
            </Empty>
          ) : (
            <>
              <div className="mb-4">
                <SearchField label="Find a service" q={q} set={(text) => set({ q: text })} />
              </div>
              <ServiceRows
                mesh={mesh}
                services={list.filter((one) => matches(one, q))}
                proxies={proxies.data}
              />
            </>
          )
        }
      </Loaded>
    </>
  );
}

function matches(service: Service, q: string | undefined): boolean {
  const text = [
    service.name,
    service.display_name,
    ...(service.hostnames ?? []),
    ...Object.entries(service.labels ?? {}).map((pair) => pair.join("=")),
  ];
  return q === undefined || text.join(" ").toLowerCase().includes(q.toLowerCase());
}

export function ServiceRows({
  mesh,
  services,
  proxies,
}: {
  mesh: string;
  services: Service[];
  proxies: ProxyView[] | undefined;
}) {
  if (services.length === 0)
    return <Empty title="No service matches">Change what you search for to see others.</Empty>;
  const all = byService(proxies ?? []);
  const own = (service: Service) => all.get(service.name) ?? [];
  return (
    <Table
      label="Services"
      rows={services}
      id={(service) => service.name}
      columns={[
        {
          head: "Service",
          wide: true,
          cell: (service) => (
            <Link
              to="/meshes/$mesh/services/$service"
              params={{ mesh, service: service.name }}
              className="font-medium text-accent hover:underline"
            >
              {service.display_name ?? service.name}
              {service.display_name && <span className="ml-2 font-normal text-muted">{service.name}</span>}
            </Link>
          ),
        },
        {
          head: "Ports",
          cell: (service) => service.ports.map((port) => `${port.port} ${port.protocol}`).join(", "),
        },
        { head: "Versions", cell: (service) => versions(own(service)).join(", ") || "–" },
        { head: "Proxies", cell: (service) => <ProxySummary proxies={proxies && own(service)} /> },
        { head: "Changed", cell: (service) => <Ago at={service.meta.updated_at} /> },
      ]}
    />
  );
}

export function versions(proxies: ProxyView[]): string[] {
  return [...new Set(proxies.flatMap((proxy) => proxy.version ?? []))].sort();
}

export function ProxySummary({ proxies }: { proxies: ProxyView[] | undefined }) {
  if (proxies === undefined) return <Badge>Checking…</Badge>;
  const counts = count(proxies);
  if (counts.total === 0) return <Badge>No proxies</Badge>;
  const tone = counts.nacked + counts.offline > 0 ? "bad" : counts.ready < counts.total ? "warn" : "ok";
  return (
    <Badge tone={tone} dot>
      {counts.ready} / {counts.total} in sync
    </Badge>
  );
}
