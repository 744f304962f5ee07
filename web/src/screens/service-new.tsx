import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { ReadOnlyNote, useMay } from "../ui/access";
import { linkButton, PageHead } from "../ui/basics";
import { ServiceCrumbs } from "../ui/crumbs";
import { CreateForm } from "../ui/editor";
import { noFields, ServiceFieldset, servicePointers, specOf } from "./service-form";

export function ServiceNew() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh/services/new" });
  const [name, setName] = useState("");
  const [fields, setFields] = useState(noFields);
  const navigate = useNavigate();
  const may = useMay("config:write");
  const body = { name, ...specOf(fields) };
  const save = useSave(
    () =>
      good(api.POST("/v1/orgs/{org}/meshes/{mesh}/services", { params: { path: { org: "-", mesh } }, body })),
    "Service created",
    () => void navigate({ to: "/meshes/$mesh/services/$service", params: { mesh, service: name } }),
  );
  return (
    <div className="max-w-2xl">
      <title>{`New service · ${mesh} · Heddle`}</title>
      <PageHead title="New service" crumbs={<ServiceCrumbs mesh={mesh} at="New" />} />
      <ReadOnlyNote permission="config:write" />
      <CreateForm
        what="service"
        permission="config:write"
        save={save}
        pointers={servicePointers}
        name={{
          value: name,
          set: setName,
          placeholder: "payments",
          hint: (
            <>
              Callers reach it as <code>{name || "payments"}</code> and as{" "}
              <code>
                {name || "payments"}.{mesh}.mesh
              </code>
              . It never changes.
            </>
          ),
        }}
        cancel={
          <Link to="/meshes/$mesh/services" params={{ mesh }} className={linkButton("quiet")}>
            Cancel
          </Link>
        }
        request={{
          method: "POST",
          path: `/v1/orgs/-/meshes/${mesh}/services`,
          body,
          document: { kind: "service", mesh },
        }}
      >
        <ServiceFieldset fields={fields} set={setFields} disabled={!may} />
      </CreateForm>
    </div>
  );
}
