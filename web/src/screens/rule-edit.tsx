import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { ruleQuery, servicesQuery } from "../api/queries";
import { useSave } from "../api/save";
import type { AccessRule } from "../api/types";
import { ReadOnlyNote, useMay } from "../ui/access";
import { linkButton, PageHead } from "../ui/basics";
import { ServiceCrumbs } from "../ui/crumbs";
import { CreateForm, DeleteCard, EditForm } from "../ui/editor";
import { Loaded } from "../ui/states";
import { RuleFieldset, ruleFieldsOf, rulePointersOf, ruleSpecOf } from "./rule-form";

export function RuleNew() {
  const { mesh, service } = useParams({ from: "/inside/meshes/$mesh/services/$service/access/new" });
  const navigate = useNavigate();
  const may = useMay("access:write");
  const [name, setName] = useState("");
  const [fields, setFields] = useState(() => ruleFieldsOf(undefined));
  const services = useQuery(servicesQuery(mesh)).data ?? [];
  const body = { name, ...ruleSpecOf(fields, undefined) };
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/meshes/{mesh}/services/{service}/access-rules", {
          params: { path: { org: "-", mesh, service } },
          body,
        }),
      ),
    "Rule created",
    () => void navigate({ to: "/meshes/$mesh/services/$service", params: { mesh, service } }),
  );
  return (
    <div className="max-w-3xl">
      <title>{`New access rule · ${service} · Heddle`}</title>
      <PageHead
        title="New access rule"
        about={`Who may call ${service}, and what.`}
        crumbs={<ServiceCrumbs mesh={mesh} service={service} at="New access rule" />}
      />
      <ReadOnlyNote permission="access:write" />
      <CreateForm
        what="rule"
        permission="access:write"
        save={save}
        pointers={rulePointersOf(fields)}
        name={{
          value: name,
          set: setName,
          placeholder: "checkout-may-charge",
          hint: "Shown wherever a call is allowed or denied because of this rule.",
        }}
        cancel={
          <Link
            to="/meshes/$mesh/services/$service"
            params={{ mesh, service }}
            className={linkButton("quiet")}
          >
            Cancel
          </Link>
        }
        request={{
          method: "POST",
          path: `/v1/orgs/-/meshes/${mesh}/services/${service}/access-rules`,
          body,
          document: { kind: "access_rule", mesh, service },
        }}
      >
        <RuleFieldset
          fields={fields}
          set={setFields}
          disabled={!may}
          services={services.map((one) => one.name)}
        />
      </CreateForm>
    </div>
  );
}

export function RuleEdit() {
  const { mesh, service, rule } = useParams({ from: "/inside/meshes/$mesh/services/$service/access/$rule" });
  const query = useQuery(ruleQuery(mesh, service, rule));
  return (
    <div className="max-w-3xl">
      <title>{`${rule} · ${service} · Heddle`}</title>
      <PageHead title={rule} crumbs={<ServiceCrumbs mesh={mesh} service={service} at="Access rule" />} />
      <ReadOnlyNote permission="access:write" />
      <Loaded query={query} what="access rule">
        {(found) => <Edit key={found.meta.etag} mesh={mesh} service={service} rule={found} />}
      </Loaded>
    </div>
  );
}

function Edit({ mesh, service, rule }: { mesh: string; service: string; rule: AccessRule }) {
  const may = useMay("access:write");
  const navigate = useNavigate();
  const [fields, setFields] = useState(() => ruleFieldsOf(rule));
  const services = useQuery(servicesQuery(mesh)).data ?? [];
  const body = ruleSpecOf(fields, rule);
  const path = { org: "-", mesh, service, rule: rule.name };
  const url = `/v1/orgs/-/meshes/${mesh}/services/${service}/access-rules/${rule.name}`;
  const headers = { "If-Match": rule.meta.etag };
  const save = useSave(
    (query) =>
      good(
        api.PUT("/v1/orgs/{org}/meshes/{mesh}/services/{service}/access-rules/{rule}", {
          params: { path, query },
          headers,
          body,
        }),
      ),
    "Saved",
  );
  const remove = useSave(
    (query) =>
      good(
        api.DELETE("/v1/orgs/{org}/meshes/{mesh}/services/{service}/access-rules/{rule}", {
          params: { path, query },
          headers,
        }),
      ),
    "Rule deleted",
    () => void navigate({ to: "/meshes/$mesh/services/$service", params: { mesh, service } }),
  );
  return (
    <div className="space-y-6">
      <EditForm
        button="Save rule"
        permission="access:write"
        save={save}
        pointers={rulePointersOf(fields)}
        request={{
          method: "PUT",
          path: url,
          body,
          ifMatch: rule.meta.etag,
          document: { kind: "access_rule", mesh, service, name: rule.name },
        }}
      >
        <RuleFieldset
          fields={fields}
          set={setFields}
          disabled={!may}
          services={services.map((one) => one.name)}
        />
      </EditForm>
      <DeleteCard
        what="rule"
        name={rule.name}
        permission="access:write"
        about={
          rule.action === "deny"
            ? "Calls that it denied are then judged by the other rules."
            : "Calls that only it allowed are then denied or allowed as the mesh says."
        }
        consequence="It stops to apply within seconds."
        request={{ method: "DELETE", path: url, ifMatch: rule.meta.etag }}
        remove={remove}
      />
    </div>
  );
}
