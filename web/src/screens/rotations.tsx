// The authorities of a mesh: the rotation that is under way, and those before.
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { RefreshCw } from "lucide-react";
import { useState } from "react";
import { type Rotation, rotationsQuery } from "../api/trust";
import { called } from "../shell/shell";
import { Guarded, ReadOnlyNote } from "../ui/access";
import { Badge, CardTitle, PageHead } from "../ui/basics";
import { MeshCrumbs } from "../ui/crumbs";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago } from "../ui/time";
import { Authorities } from "./authorities";
import { RotationNew } from "./rotation-new";
import { RotationUnderWay } from "./rotation-under-way";
import { modeText, whatText } from "./rotation-words";

export function Rotations() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh/authorities" });
  const query = useQuery(rotationsQuery(mesh));
  const [beginning, setBeginning] = useState(false);
  const busy = query.data?.some((one) => one.meta.ended_at === null) ?? true;
  const begin = (
    <Guarded
      permission="meshes:write"
      kind="primary"
      disabled={busy}
      title={busy ? "One rotation at a time" : undefined}
      onClick={() => setBeginning(true)}
    >
      <RefreshCw aria-hidden className="size-4" /> Replace authorities
    </Guarded>
  );
  return (
    <>
      <title>{`Authorities · ${mesh} · Heddle`}</title>
      <PageHead
        title="Authorities"
        crumbs={<MeshCrumbs mesh={mesh} at="Authorities" />}
        about="A root that every proxy of the mesh trusts, and under it an intermediate that signs their certificates. A rotation replaces them step by step, and each step waits until every proxy has followed."
        actions={begin}
      />
      <ReadOnlyNote permission="meshes:write" />
      <Authorities mesh={mesh} />
      <Loaded query={query} what="rotations">
        {(list) =>
          list.length === 0 ? (
            <Empty icon={<RefreshCw />} title="Nothing was rotated yet" action={begin}>
              The intermediate is followed by another one every ninety days by itself. Replace it, or the root
              with it, when somebody may have seen a key, when a policy asks for it, or before the root ends.
            </Empty>
          ) : (
            <div className="space-y-6">
              {list
                .filter((one) => one.meta.ended_at === null)
                .map((one) => (
                  <RotationUnderWay key={one.meta.uid} mesh={mesh} uid={one.meta.uid} />
                ))}
              <Ended list={list.filter((one) => one.meta.ended_at !== null)} />
            </div>
          )
        }
      </Loaded>
      {beginning && <RotationNew mesh={mesh} close={() => setBeginning(false)} />}
    </>
  );
}

function Ended({ list }: { list: Rotation[] }) {
  if (list.length === 0) return null;
  return (
    <section>
      <CardTitle>Ended</CardTitle>
      <Table
        label="Ended rotations"
        rows={list}
        id={(one) => one.meta.uid}
        columns={[
          {
            head: "Rotation",
            wide: true,
            cell: (one) => <span className="font-medium">{whatText[one.what]}</span>,
          },
          { head: "How", cell: (one) => modeText[one.mode] },
          {
            head: "End",
            cell: (one) =>
              one.state === "removed" ? (
                <Badge tone="ok">replaced</Badge>
              ) : (
                <Badge tone="neutral">turned round</Badge>
              ),
          },
          { head: "Begun by", cell: (one) => called(one.meta.created_by) },
          { head: "Begun", cell: (one) => <Ago at={one.meta.created_at} /> },
          { head: "Ended", cell: (one) => (one.meta.ended_at ? <Ago at={one.meta.ended_at} /> : "–") },
        ]}
      />
    </section>
  );
}
