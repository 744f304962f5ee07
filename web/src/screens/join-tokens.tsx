import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { KeyRound } from "lucide-react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { joinTokensQuery } from "../api/queries";
import { useSave } from "../api/save";
import type { JoinToken } from "../api/types";
import { ReadOnlyNote } from "../ui/access";
import { Badge, PageHead, type Tone } from "../ui/basics";
import { MeshCrumbs } from "../ui/crumbs";
import { DeleteButton } from "../ui/delete";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Until } from "../ui/time";
import { ConnectLink } from "./connect-link";

const tone: Record<string, Tone> = { active: "ok", used: "neutral", expired: "neutral", revoked: "bad" };

/** Which proxies join with it. */
export function whom(token: JoinToken): string {
  const many = token.ephemeral ? "proxies that come and go" : "any number of proxies";
  const number = token.reusable ? many : "one proxy";
  const labels = Object.entries(token.labels).map((pair) => pair.join("="));
  return [
    number,
    ...(token.networks ? [`from ${token.networks.join(", ")}`] : []),
    ...(labels.length > 0 ? [`labelled ${labels.join(", ")}`] : []),
  ].join(", ");
}

export function JoinTokens() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh/join-tokens" });
  const query = useQuery(joinTokensQuery(mesh));
  const connect = <ConnectLink mesh={mesh} />;
  return (
    <>
      <title>{`Join tokens · ${mesh} · Heddle`}</title>
      <PageHead
        title="Join tokens"
        crumbs={<MeshCrumbs mesh={mesh} at="Join tokens" />}
        about="With a join token an Envoy proves which service it belongs to. Its secret was shown once, when it was made."
        actions={connect}
      />
      <ReadOnlyNote permission="join_tokens:write" />
      <Loaded query={query} what="join tokens">
        {(list) =>
          list.length === 0 ? (
            <Empty icon={<KeyRound />} title="No join tokens" action={connect}>
              One is made for you when you connect a proxy.
            </Empty>
          ) : (
            <Table
              label="Join tokens"
              rows={list}
              id={(token) => token.name}
              columns={[
                {
                  head: "Token",
                  wide: true,
                  cell: (token) => <span className="font-medium">{token.name}</span>,
                },
                { head: "Service", cell: (token) => token.service },
                {
                  head: "State",
                  cell: (token) => <Badge tone={tone[token.state] ?? "neutral"}>{token.state}</Badge>,
                },
                { head: "For", cell: whom },
                { head: "Joined with it", number: true, cell: (token) => token.proxies ?? 0 },
                {
                  head: "Expires",
                  cell: (token) => (token.expires_at ? <Until at={token.expires_at} /> : "never"),
                },
                { head: "Actions", end: true, cell: (token) => <Revoke mesh={mesh} token={token} /> },
              ]}
            />
          )
        }
      </Loaded>
    </>
  );
}

function Revoke({ mesh, token }: { mesh: string; token: JoinToken }) {
  const path = { org: "-", mesh, token: token.name };
  const remove = useSave(
    () => good(api.DELETE("/v1/orgs/{org}/meshes/{mesh}/join-tokens/{token}", { params: { path } })),
    "Token revoked",
  );
  if (token.state === "revoked") return null;
  return (
    <DeleteButton
      what="token"
      verb="Revoke"
      name={token.name}
      permission="join_tokens:write"
      consequence="Proxies that joined with it are disconnected within seconds and may not come back."
      request={{ method: "DELETE", path: `/v1/orgs/-/meshes/${mesh}/join-tokens/${token.name}` }}
      remove={remove}
    />
  );
}
