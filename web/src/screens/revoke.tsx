// Who is revoked, and the way there and back: on the page of a proxy and of a service, and in the list of the mesh.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { type Revocation, revocationsQuery } from "../api/trust";
import { called } from "../shell/shell";
import { Guarded } from "../ui/access";
import { Button, Callout, Card, CardTitle } from "../ui/basics";
import { DeleteButton } from "../ui/delete";
import { Dialog } from "../ui/dialog";
import { Form, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Loaded } from "../ui/states";
import { Ago } from "../ui/time";

/** A proxy of a service, or the service with all of its proxies. */
export interface Identity {
  service: string;
  proxy?: { name: string; uid: string };
}

export const nameOf = (one: Pick<Revocation, "proxy" | "service">) => one.proxy?.name ?? one.service;

/** What holds for an identity: its own revocation, and for a proxy that of its service as well. */
export function inForce(list: Revocation[], { service, proxy }: Identity): Revocation[] {
  return list.filter(
    (one) =>
      one.state === "in_force" &&
      one.service === service &&
      // By its name: a proxy that was forgotten and joins anew has another identifier.
      (one.proxy === null || one.proxy.name === proxy?.name),
  );
}

export function RevokeCard({ mesh, of }: { mesh: string; of: Identity }) {
  const query = useQuery(revocationsQuery(mesh));
  const what = of.proxy ? "proxy" : "service";
  const own = inForce(query.data ?? [], of).some((one) => (one.proxy === null) === (of.proxy === undefined));
  return (
    <Card>
      <CardTitle
        aside={
          <Link
            to="/meshes/$mesh/revocations"
            params={{ mesh }}
            className="text-accent underline underline-offset-2"
          >
            All revocations
          </Link>
        }
      >
        {own ? "Revocation" : `Revoke this ${what}`}
      </CardTitle>
      <Loaded query={query} what="revocations" rows={1}>
        {(list) => (
          <div className="space-y-3">
            {inForce(list, of).map((one) => (
              <Callout
                key={one.meta.uid}
                tone="bad"
                title={one.proxy || !of.proxy ? "It is revoked" : `Its service ${one.service} is revoked`}
                action={<LiftButton mesh={mesh} revocation={one} />}
              >
                {one.reason}
                <span className="block text-muted">
                  by {called(one.meta.created_by)}, <Ago at={one.meta.created_at} />
                </span>
              </Callout>
            ))}
            {!own && (
              <div className="flex items-center justify-between gap-6">
                <p className="text-muted">
                  {of.proxy
                    ? "For a host that was broken into. It is disconnected, may not come back under its name, and gets no certificate, until that is lifted."
                    : "For a service that is not to be trusted any more. Its proxies are disconnected, and every other proxy refuses its calls, until that is lifted."}
                </p>
                <RevokeButton mesh={mesh} of={of} />
              </div>
            )}
          </div>
        )}
      </Loaded>
    </Card>
  );
}

function RevokeButton({ mesh, of: { service, proxy } }: { mesh: string; of: Identity }) {
  const [open, setOpen] = useState(false);
  const [reason, setReason] = useState("");
  const [answer, setAnswer] = useState("");
  const what = proxy ? "proxy" : "service";
  const name = proxy?.name ?? service;
  const body: Schemas["CreateRevocation"] = {
    ...(proxy ? { proxy: proxy.uid } : { service }),
    reason: reason.trim(),
  };
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/meshes/{mesh}/revocations", { params: { path: { org: "-", mesh } }, body }),
      ),
    `${name} is revoked`,
  );
  return (
    <>
      <Guarded
        kind="danger"
        permission="proxies:write"
        onClick={() => {
          save.reset();
          setReason("");
          setAnswer("");
          setOpen(true);
        }}
      >
        Revoke {what}
      </Guarded>
      {open && (
        <Dialog title={`Revoke ${what} ${name}?`} close={() => setOpen(false)}>
          <Form
            problem={save.problem}
            pointers={["/reason"]}
            onSubmit={() => void save.run().then((done) => done && setOpen(false))}
          >
            <p>
              {proxy
                ? "It loses its connection within seconds, and nobody calls it any more. Calls that it makes are taken until its certificate ends: all proxies of a service have one identity. If that is too long, revoke the service."
                : "All of its proxies lose their connections within seconds. Every other proxy of the mesh refuses its calls as soon as it has the new revision, and nobody calls it any more."}
            </p>
            <Text
              label="Reason"
              pointer="/reason"
              value={reason}
              onChange={setReason}
              autoFocus
              placeholder="SEC-77: the host was broken into"
              hint="For whoever reads it later, here and in the audit log."
            />
            {!proxy && <Text label={`Type ${name} to confirm`} value={answer} onChange={setAnswer} mono />}
            <div className="flex justify-end gap-2">
              <Button onClick={() => setOpen(false)}>Leave it</Button>
              <Button
                type="submit"
                kind="danger"
                disabled={save.busy || reason.trim() === "" || (!proxy && answer !== name)}
              >
                Revoke {what}
              </Button>
            </div>
            <ShowAs request={{ method: "POST", path: `/v1/orgs/-/meshes/${mesh}/revocations`, body }} />
          </Form>
        </Dialog>
      )}
    </>
  );
}

export function LiftButton({ mesh, revocation }: { mesh: string; revocation: Revocation }) {
  const { uid } = revocation.meta;
  const remove = useSave(
    (query) =>
      good(
        api.DELETE("/v1/orgs/{org}/meshes/{mesh}/revocations/{revocation}", {
          params: { path: { org: "-", mesh, revocation: uid }, query },
        }),
      ),
    "Revocation lifted",
  );
  return (
    <DeleteButton
      what="revocation"
      verb="Lift"
      name={`of ${nameOf(revocation)}`}
      permission="proxies:write"
      consequence="It may join again and gets new certificates. Those from before stay revoked."
      request={{ method: "DELETE", path: `/v1/orgs/-/meshes/${mesh}/revocations/${uid}` }}
      remove={remove}
      why
    />
  );
}
