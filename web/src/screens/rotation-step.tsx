// One step of a rotation: asked once, and when it leaves proxies behind only with the name of the mesh typed.
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import type { Rotation } from "../api/trust";
import { Guarded } from "../ui/access";
import { Button } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { Form, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Why } from "../ui/why";

export function RotationStep({
  mesh,
  rotation,
  action,
  force = false,
  verb,
  title,
  about,
  disabled,
}: {
  mesh: string;
  rotation: Rotation;
  action: Schemas["Action"];
  force?: boolean;
  verb: string;
  title: string;
  about: string;
  disabled?: boolean;
}) {
  const [open, setOpen] = useState(false);
  const [answer, setAnswer] = useState("");
  const { uid } = rotation.meta;
  // Only from where it was looked at: it may go on by itself meanwhile.
  const body = { action, generation: rotation.generation, ...(force ? { force } : {}) };
  const save = useSave(
    (query) =>
      good(
        api.POST("/v1/orgs/{org}/meshes/{mesh}/rotations/{rotation}/actions", {
          params: { path: { org: "-", mesh, rotation: uid }, query },
          body,
        }),
      ),
    action === "reverse" ? "The rotation was turned round" : "The step was taken",
  );
  const kind = force ? "danger" : action === "advance" ? "primary" : "plain";
  return (
    <>
      <Guarded
        permission="meshes:write"
        kind={kind}
        disabled={disabled}
        title={disabled ? "Proxies are waited for" : undefined}
        onClick={() => {
          save.reset();
          setAnswer("");
          setOpen(true);
        }}
      >
        {verb}
      </Guarded>
      {open && (
        <Dialog title={title} close={() => setOpen(false)}>
          <Form
            problem={save.problem}
            pointers={[]}
            onSubmit={() => void save.run().then((done) => done && setOpen(false))}
          >
            <p>{about}</p>
            {force && (
              <Text label={`Type ${mesh} to confirm`} value={answer} onChange={setAnswer} mono autoFocus />
            )}
            <Why save={save} />
            <div className="flex justify-end gap-2">
              <Button onClick={() => setOpen(false)}>Leave it</Button>
              <Button type="submit" kind={kind} disabled={save.busy || (force && answer !== mesh)}>
                {verb}
              </Button>
            </div>
            <ShowAs
              request={{
                method: "POST",
                path: `/v1/orgs/-/meshes/${mesh}/rotations/${uid}/actions`,
                body,
                why: save.why,
              }}
            />
          </Form>
        </Dialog>
      )}
    </>
  );
}
