import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { good } from "../api/problem";
import { meshQuery } from "../api/queries";
import { useSave } from "../api/save";
import { sent } from "../api/sent";
import type { Mesh } from "../api/types";
import { Guarded, ReadOnlyNote, useMay } from "../ui/access";
import { Card, CardTitle, PageHead } from "../ui/basics";
import { MeshCrumbs } from "../ui/crumbs";
import { DeleteButton } from "../ui/delete";
import { Check, Form, Select, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Loaded } from "../ui/states";
import { Why } from "../ui/why";
import { type Mode, mtlsHint, mtlsOptions, said } from "./mtls";
import { AcceptPlainCallers } from "./plain-callers";
import { settingsWith } from "./service-form";

export function MeshSettings() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh/settings" });
  const query = useQuery({ ...meshQuery(mesh), refetchInterval: false });
  return (
    <div className="max-w-2xl">
      <title>{`Settings · ${mesh} · Heddle`}</title>
      <PageHead title="Mesh settings" crumbs={<MeshCrumbs mesh={mesh} at="Settings" />} />
      <ReadOnlyNote permission="meshes:write" />
      <Loaded query={query} what="mesh">
        {(found) => <Edit key={found.meta.etag} mesh={found} />}
      </Loaded>
    </div>
  );
}

function Edit({ mesh }: { mesh: Mesh }) {
  const may = useMay("meshes:write");
  const navigate = useNavigate();
  const [display, setDisplay] = useState(mesh.display_name ?? "");
  const [access, setAccess] = useState<"deny" | "allow">(mesh.access_default ?? "deny");
  const [mtls, setMtls] = useState<Mode>(mesh.mtls ?? "");
  const [timeout, setTimeout] = useState(mesh.defaults?.timeout ?? "");
  const [attempts, setAttempts] = useState(mesh.defaults?.retries?.attempts?.toString() ?? "");
  const [guarded, setGuarded] = useState(mesh.deletion_protection ?? true);
  const [accepted, setAccepted] = useState(false);
  const { name, meta } = mesh;
  const { display_name: _, mtls: __, defaults, ...others } = sent(mesh);
  const settings = settingsWith(defaults, timeout, attempts);
  const body: Schemas["MeshSpec"] = {
    ...others,
    ...(display.trim() === "" ? {} : { display_name: display.trim() }),
    ...said(mtls),
    access_default: access,
    ...(settings ? { defaults: settings } : {}),
    deletion_protection: guarded,
  };
  const path = { org: "-", mesh: name };
  const headers = { "If-Match": meta.etag };
  const save = useSave(
    (query) =>
      good(
        api.PUT("/v1/orgs/{org}/meshes/{mesh}", {
          params: { path, query: { ...query, accept_plain_callers: accepted || undefined } },
          headers,
          body,
        }),
      ),
    "Saved",
  );
  const remove = useSave(
    (query) =>
      good(
        api.DELETE("/v1/orgs/{org}/meshes/{mesh}", {
          params: { path, query },
          headers,
        }),
      ),
    "Mesh deleted",
    () => void navigate({ to: "/" }),
  );
  return (
    <div className="space-y-6">
      <Card>
        <Form
          problem={save.problem}
          pointers={[
            "/display_name",
            "/mtls",
            "/access_default",
            "/defaults/timeout",
            "/defaults/retries/attempts",
          ]}
          onSubmit={() => void save.run()}
        >
          <Text
            label="Display name"
            pointer="/display_name"
            value={display}
            onChange={setDisplay}
            disabled={!may}
          />
          <Select
            label="Mutual TLS"
            pointer="/mtls"
            value={mtls}
            onChange={(mode) => setMtls(mode as Mode)}
            disabled={!may}
            options={mtlsOptions("not set: strict")}
            hint={`Of every service that says nothing else. ${mtlsHint}`}
          />
          <AcceptPlainCallers problem={save.problem} accepted={accepted} accept={setAccepted} />
          <Select
            label="A call that no access rule matches is"
            pointer="/access_default"
            value={access}
            onChange={(value) => setAccess(value === "allow" ? "allow" : "deny")}
            disabled={!may}
            options={[
              ["deny", "denied"],
              ["allow", "allowed"],
            ]}
          />
          <div className="grid grid-cols-2 gap-4">
            <Text
              label="Timeout"
              pointer="/defaults/timeout"
              value={timeout}
              onChange={setTimeout}
              disabled={!may}
              mono
              placeholder="15s"
              hint="Of every call whose service or route says nothing else."
            />
            <Text
              label="Retries"
              pointer="/defaults/retries/attempts"
              value={attempts}
              onChange={setAttempts}
              disabled={!may}
              mono
              placeholder="2"
              hint="How often a failed call is tried again."
            />
          </div>
          <Check
            label="Protect against deletion"
            hint="While this is on, nobody can delete the mesh."
            checked={guarded}
            onChange={setGuarded}
            disabled={!may}
          />
          <Why save={save} disabled={!may} />
          <div className="flex items-center gap-3">
            <Guarded permission="meshes:write" kind="primary" type="submit" disabled={save.busy}>
              Save
            </Guarded>
          </div>
          <ShowAs
            request={{
              method: "PUT",
              path: `/v1/orgs/-/meshes/${name}`,
              body,
              ifMatch: meta.etag,
              why: save.why,
              document: { kind: "mesh", name },
            }}
          />
        </Form>
      </Card>
      <Card>
        <CardTitle>Delete this mesh</CardTitle>
        <div className="flex items-center justify-between gap-6">
          <p className="text-muted">
            {(mesh.deletion_protection ?? true)
              ? "It is protected. Switch the protection off and save before you delete it."
              : "Everything in it goes with it. Its trust domain is never given out again."}
          </p>
          <DeleteButton
            what="mesh"
            name={name}
            typed
            permission="meshes:write"
            consequence="All of its services, routes, rules and join tokens go with it. Its proxies keep their last configuration."
            request={{ method: "DELETE", path: `/v1/orgs/-/meshes/${name}`, ifMatch: meta.etag }}
            remove={remove}
          />
        </div>
      </Card>
    </div>
  );
}
