import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { serviceQuery } from "../api/queries";
import { useSave } from "../api/save";
import type { Service } from "../api/types";
import { ReadOnlyNote, useMay } from "../ui/access";
import { PageHead } from "../ui/basics";
import { ServiceCrumbs } from "../ui/crumbs";
import { DeleteCard, EditForm } from "../ui/editor";
import { Loaded } from "../ui/states";
import { AcceptPlainCallers, PlainCallers } from "./plain-callers";
import { fieldsOf, ServiceFieldset, servicePointers, specOf } from "./service-form";

export function ServiceSettings() {
  const { mesh, service } = useParams({ from: "/inside/meshes/$mesh/services/$service/settings" });
  const query = useQuery(serviceQuery(mesh, service));
  return (
    <div className="max-w-2xl">
      <title>{`Settings of ${service} · ${mesh} · Heddle`}</title>
      <PageHead
        title="Service settings"
        crumbs={<ServiceCrumbs mesh={mesh} service={service} at="Settings" />}
      />
      <ReadOnlyNote permission="config:write" />
      <Loaded query={query} what="service">
        {(found) => <Edit key={found.meta.etag} mesh={mesh} service={found} />}
      </Loaded>
    </div>
  );
}

function Edit({ mesh, service }: { mesh: string; service: Service }) {
  const [fields, setFields] = useState(() => fieldsOf(service));
  const [accepted, setAccepted] = useState(false);
  const may = useMay("config:write");
  const navigate = useNavigate();
  const body = specOf(fields, service);
  const path = { org: "-", mesh, service: service.name };
  const url = `/v1/orgs/-/meshes/${mesh}/services/${service.name}`;
  const header = { "If-Match": service.meta.etag };
  const save = useSave(
    (query) =>
      good(
        api.PUT("/v1/orgs/{org}/meshes/{mesh}/services/{service}", {
          params: { path, query: { ...query, accept_plain_callers: accepted || undefined } },
          headers: header,
          body,
        }),
      ),
    "Saved",
  );
  const remove = useSave(
    (query) =>
      good(
        api.DELETE("/v1/orgs/{org}/meshes/{mesh}/services/{service}", {
          params: { path, query },
          headers: header,
        }),
      ),
    "Service deleted",
    () => void navigate({ to: "/meshes/$mesh/services", params: { mesh } }),
  );
  return (
    <div className="space-y-6">
      <EditForm
        button="Save"
        permission="config:write"
        save={save}
        pointers={servicePointers}
        request={{
          method: "PUT",
          path: url,
          body,
          ifMatch: service.meta.etag,
          document: { kind: "service", mesh, name: service.name },
        }}
      >
        <ServiceFieldset fields={fields} set={setFields} disabled={!may} />
        <AcceptPlainCallers problem={save.problem} accepted={accepted} accept={setAccepted} />
      </EditForm>
      <PlainCallers mesh={mesh} service={service.name} />
      <DeleteCard
        what="service"
        name={service.name}
        typed
        permission="config:write"
        about="Its routes and access rules go with it, and callers do not reach it any more."
        consequence="Its routes, splits and access rules go with it. Callers get an error at once."
        request={{ method: "DELETE", path: url, ifMatch: service.meta.etag }}
        remove={remove}
      />
    </div>
  );
}
