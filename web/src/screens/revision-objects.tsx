// A whole mesh as it was at a revision.
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useState } from "react";
import { type OldObject, objectsQuery } from "../api/history";
import { sent } from "../api/sent";
import { Badge, Card, PageHead } from "../ui/basics";
import { Snippet } from "../ui/copy";
import { SearchField, useFilter } from "../ui/filter";
import { useMore } from "../ui/more";
import { Empty, Loaded } from "../ui/states";
import { yaml } from "../ui/yaml";
import { kindWord, objectName } from "./object-link";
import { Quiet } from "./quiet";
import { RevisionCrumbs } from "./revision";

export function RevisionObjects() {
  const { mesh, revision } = useParams({ from: "/inside/meshes/$mesh/history/$revision/objects" });
  const query = useQuery(objectsQuery(mesh, revision));
  const { q, set } = useFilter();
  const wanted = q?.toLowerCase() ?? "";
  return (
    <>
      <title>{`Objects at revision ${revision} · ${mesh} · Heddle`}</title>
      <PageHead
        title={`${mesh} at revision ${revision}`}
        crumbs={<RevisionCrumbs mesh={mesh} revision={revision} />}
        about="Every object as its own address answered then."
      />
      <Loaded query={query} what="objects">
        {(list) => {
          const shown = list.filter((one) =>
            `${one.meta.kind} ${one.meta.path ?? ""} ${one.name}`.toLowerCase().includes(wanted),
          );
          return (
            <div className="space-y-4">
              <SearchField label="Find an object" q={q} set={(text) => set({ q: text })} />
              {shown.length === 0 ? (
                <Empty title="No object matches">Change what you search for to see others.</Empty>
              ) : (
                <Objects mesh={mesh} list={shown} />
              )}
              {list.length === 1 && <Quiet>There was nothing but the mesh itself.</Quiet>}
            </div>
          );
        }}
      </Loaded>
    </>
  );
}

function Objects({ mesh, list }: { mesh: string; list: OldObject[] }) {
  const { shown, more } = useMore(list);
  return (
    <>
      <ul className="space-y-2">
        {shown.map((object) => (
          <li key={object.meta.uid}>
            <ObjectThen mesh={mesh} object={object} />
          </li>
        ))}
      </ul>
      {more}
    </>
  );
}

function ObjectThen({ mesh, object }: { mesh: string; object: OldObject }) {
  const name = objectName(object.meta.path ?? "", mesh);
  const [open, setOpen] = useState(false);
  return (
    <Card flush>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary className="flex items-center gap-3 rounded-xl px-5 py-3 hover:bg-sunken/60">
          <span className="min-w-0 flex-1 truncate">
            <span className="text-muted">{kindWord(object.meta.kind)} </span>
            <span className="font-medium">{name}</span>
          </span>
          <Badge>revision {object.meta.revision}</Badge>
        </summary>
        <div className="px-5 pb-4">
          {open && (
            <Snippet
              label={`${kindWord(object.meta.kind)} ${name} as YAML`}
              text={yaml({ kind: object.meta.kind, name: object.name, ...sent(object) })}
            />
          )}
        </div>
      </details>
    </Card>
  );
}
