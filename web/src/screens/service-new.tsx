import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { Guarded, ReadOnlyNote, useMay } from "../ui/access";
import { Card, linkButton, PageHead } from "../ui/basics";
import { ServiceCrumbs } from "../ui/crumbs";
import { Form, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";
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
      <Card>
        <Form problem={save.problem} pointers={servicePointers} onSubmit={() => void save.run()}>
          <Text
            label="Name"
            pointer="/name"
            value={name}
            onChange={setName}
            disabled={!may}
            mono
            placeholder="payments"
            hint={
              <>
                Callers reach it as <code>{name || "payments"}</code> and as{" "}
                <code>
                  {name || "payments"}.{mesh}.mesh
                </code>
                . It never changes.
              </>
            }
          />
          <ServiceFieldset fields={fields} set={setFields} disabled={!may} />
          <div className="flex gap-2">
            <Guarded
              permission="config:write"
              kind="primary"
              type="submit"
              disabled={save.busy || name === ""}
            >
              Create service
            </Guarded>
            <Link to="/meshes/$mesh/services" params={{ mesh }} className={linkButton("quiet")}>
              Cancel
            </Link>
          </div>
          <ShowAs
            request={{
              method: "POST",
              path: `/v1/orgs/-/meshes/${mesh}/services`,
              body,
              document: { kind: "service", mesh },
            }}
          />
        </Form>
      </Card>
    </div>
  );
}
