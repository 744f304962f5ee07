// Going back: first what it would change, then the change itself, as a new revision.
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { RotateCcw, Undo2 } from "lucide-react";
import { useState } from "react";
import { api } from "../api/client";
import { rollbackPreview } from "../api/history";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { Guarded } from "../ui/access";
import { Button } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { Form } from "../ui/form";
import { Scroll } from "../ui/scroll";
import { ShowAs } from "../ui/show-as";
import { Loaded } from "../ui/states";
import { Why } from "../ui/why";
import { Counts, DiffView } from "./diff";

type How = "to" | "revert";

export function GoBack({ mesh, revision, newest }: { mesh: string; revision: number; newest: number }) {
  const [how, setHow] = useState<How | null>(null);
  return (
    <>
      <Guarded
        permission="config:write"
        disabled={revision < 2}
        title="Take back what this revision changed, and keep what came later"
        onClick={() => setHow("revert")}
      >
        <Undo2 aria-hidden className="size-4" /> Take back
      </Guarded>
      <Guarded
        permission="config:write"
        disabled={revision >= newest}
        title="Make the mesh what it was at this revision"
        onClick={() => setHow("to")}
      >
        <RotateCcw aria-hidden className="size-4" /> Roll back to it
      </Guarded>
      {how && <Preview mesh={mesh} revision={revision} how={how} close={() => setHow(null)} />}
    </>
  );
}

function Preview({
  mesh,
  revision,
  how,
  close,
}: {
  mesh: string;
  revision: number;
  how: How;
  close: () => void;
}) {
  const body = how === "to" ? { to_revision: revision } : { revert_revision: revision };
  const preview = useQuery(rollbackPreview(mesh, body));
  const base = preview.data?.base_revision;
  const navigate = useNavigate();
  const ifMatch = `"r${base}"`;
  const save = useSave(
    (query) =>
      good(
        api.POST("/v1/orgs/{org}/meshes/{mesh}/rollbacks", {
          params: {
            path: { org: "-", mesh },
            query,
            // Only from where the preview was made.
            header: { "If-Match": ifMatch },
          },
          body,
        }),
      ),
    how === "to" ? `Rolled back to revision ${revision}` : `Revision ${revision} was taken back`,
    (done) => {
      close();
      void navigate({
        to: "/meshes/$mesh/history/$revision",
        params: { mesh, revision: String(done.revision) },
        search: {},
      });
    },
  );
  return (
    <Dialog
      wide
      title={how === "to" ? `Roll back to revision ${revision}?` : `Take back revision ${revision}?`}
      close={close}
    >
      <p className="mb-4 text-muted">
        {how === "to"
          ? "The mesh becomes what it was then. History is not rewritten: this is a new revision, which can be taken back as well."
          : "What it changed is undone; every later change of anything else stays."}
      </p>
      <Loaded query={preview} what="preview" rows={3}>
        {(would) => (
          <Form problem={save.problem} pointers={[]} onSubmit={() => void save.run()}>
            <p className="flex items-center gap-3 font-medium">
              {would.changed ? "It would change" : "There is nothing to do: the mesh is like that already."}
              {would.changed && <Counts summary={would.summary} />}
            </p>
            {would.changed && (
              <Scroll label="What it would change" className="max-h-[45vh] p-1">
                <DiffView mesh={mesh} diff={would} />
              </Scroll>
            )}
            <Why save={save} />
            <div className="flex justify-end gap-2">
              <Button onClick={close}>Leave it</Button>
              <Button type="submit" kind="primary" disabled={save.busy || !would.changed}>
                {how === "to" ? "Roll back" : "Take back"}
              </Button>
            </div>
            <ShowAs
              request={{
                method: "POST",
                path: `/v1/orgs/-/meshes/${mesh}/rollbacks`,
                body,
                ifMatch,
                why: save.why,
              }}
            />
          </Form>
        )}
      </Loaded>
    </Dialog>
  );
}
