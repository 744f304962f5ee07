// Who is revoked in a mesh, and who was.
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { ShieldX } from "lucide-react";
import { type Revocation, revocationsQuery } from "../api/trust";
import { called } from "../shell/shell";
import { ReadOnlyNote } from "../ui/access";
import { Badge, linkButton, PageHead } from "../ui/basics";
import { MeshCrumbs } from "../ui/crumbs";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago } from "../ui/time";
import { LiftButton, nameOf } from "./revoke";

export function Revocations() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh/revocations" });
  const query = useQuery(revocationsQuery(mesh));
  return (
    <>
      <title>{`Revocations · ${mesh} · Heddle`}</title>
      <PageHead
        title="Revocations"
        crumbs={<MeshCrumbs mesh={mesh} at="Revocations" />}
        about="Proxies, and services with all of their proxies, that are not trusted any more. Each holds until somebody lifts it, also when what it names was forgotten or deleted."
      />
      <ReadOnlyNote permission="proxies:write" />
      <Loaded query={query} what="revocations">
        {(list) =>
          list.length === 0 ? (
            <Empty
              icon={<ShieldX />}
              title="Nobody is revoked"
              action={
                <>
                  <Link to="/meshes/$mesh/proxies" params={{ mesh }} className={linkButton()}>
                    Proxies
                  </Link>
                  <Link to="/meshes/$mesh/services" params={{ mesh }} className={linkButton()}>
                    Services
                  </Link>
                </>
              }
            >
              When a host was broken into, or an image replaced: revoke the proxy or the service on its own
              page.
            </Empty>
          ) : (
            <Table
              label="Revocations"
              rows={list}
              id={(one) => one.meta.uid}
              columns={[
                { head: "Who", wide: true, cell: (one) => <Who mesh={mesh} revocation={one} /> },
                { head: "Why", wide: true, cell: (one) => one.reason },
                {
                  head: "State",
                  cell: (one) =>
                    one.state === "in_force" ? <Badge tone="bad">in force</Badge> : <Badge>lifted</Badge>,
                },
                {
                  head: "Revoked",
                  wide: true,
                  cell: ({ meta }) => <WhenBy at={meta.created_at} by={meta.created_by} />,
                },
                {
                  head: "Lifted",
                  wide: true,
                  cell: (one) =>
                    one.meta.lifted_at ? (
                      <WhenBy at={one.meta.lifted_at} by={one.meta.lifted_by} />
                    ) : (
                      <LiftButton mesh={mesh} revocation={one} />
                    ),
                },
              ]}
            />
          )
        }
      </Loaded>
    </>
  );
}

function WhenBy({ at, by }: { at: string; by: string | null | undefined }) {
  return (
    <>
      <Ago at={at} />
      <span className="block text-muted">by {called(by)}</span>
    </>
  );
}

function Who({ mesh, revocation }: { mesh: string; revocation: Revocation }) {
  const { proxy, service } = revocation;
  const look = "font-medium text-accent hover:underline";
  return (
    <>
      {proxy ? (
        <Link to="/meshes/$mesh/proxies/$proxy" params={{ mesh, proxy: proxy.uid }} className={look}>
          {nameOf(revocation)}
        </Link>
      ) : (
        <Link to="/meshes/$mesh/services/$service" params={{ mesh, service }} className={look}>
          {nameOf(revocation)}
        </Link>
      )}
      <span className="ml-2 text-muted">{proxy ? `proxy of ${service}` : "service"}</span>
    </>
  );
}
