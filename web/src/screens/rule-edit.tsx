import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { ruleQuery, servicesQuery } from "../api/queries";
import { useSave } from "../api/save";
import type { AccessRule } from "../api/types";
import { Guarded, ReadOnlyNote, useMay } from "../ui/access";
import { Card, CardTitle, linkButton, PageHead } from "../ui/basics";
import { ServiceCrumbs } from "../ui/crumbs";
import { DeleteButton } from "../ui/delete";
import { Form, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Loaded } from "../ui/states";
import { RuleFieldset, ruleFieldsOf, rulePointers, ruleSpecOf } from "./rule-form";

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
    <div className="max-w-2xl">
      <title>{`New access rule · ${service} · Heddle`}</title>
      <PageHead
        title="New access rule"
        about={`Who may call ${service}, and what.`}
        crumbs={<ServiceCrumbs mesh={mesh} service={service} at="New access rule" />}
      />
      <ReadOnlyNote permission="access:write" />
      <Card>
        <Form problem={save.problem} pointers={["/name", ...rulePointers]} onSubmit={() => void save.run()}>
          <Text
            label="Name"
            pointer="/name"
            value={name}
            onChange={setName}
            disabled={!may}
            mono
            placeholder="checkout-may-charge"
            hint="Shown wherever a call is allowed or denied because of this rule."
          />
          <RuleFieldset
            fields={fields}
            set={setFields}
            disabled={!may}
            services={services.map((one) => one.name)}
          />
          <div className="flex gap-2">
            <Guarded
              permission="access:write"
              kind="primary"
              type="submit"
              disabled={save.busy || name === ""}
            >
              Create rule
            </Guarded>
            <Link
              to="/meshes/$mesh/services/$service"
              params={{ mesh, service }}
              className={linkButton("quiet")}
            >
              Cancel
            </Link>
          </div>
          <ShowAs
            request={{
              method: "POST",
              path: `/v1/orgs/-/meshes/${mesh}/services/${service}/access-rules`,
              body,
              document: { kind: "access_rule", mesh, service },
            }}
          />
        </Form>
      </Card>
    </div>
  );
}

export function RuleEdit() {
  const { mesh, service, rule } = useParams({ from: "/inside/meshes/$mesh/services/$service/access/$rule" });
  const query = useQuery(ruleQuery(mesh, service, rule));
  return (
    <div className="max-w-2xl">
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
    () =>
      good(
        api.PUT("/v1/orgs/{org}/meshes/{mesh}/services/{service}/access-rules/{rule}", {
          params: { path },
          headers,
          body,
        }),
      ),
    "Saved",
  );
  const remove = useSave(
    () =>
      good(
        api.DELETE("/v1/orgs/{org}/meshes/{mesh}/services/{service}/access-rules/{rule}", {
          params: { path },
          headers,
        }),
      ),
    "Rule deleted",
    () => void navigate({ to: "/meshes/$mesh/services/$service", params: { mesh, service } }),
  );
  return (
    <div className="space-y-6">
      <Card>
        <Form problem={save.problem} pointers={rulePointers} onSubmit={() => void save.run()}>
          <RuleFieldset
            fields={fields}
            set={setFields}
            disabled={!may}
            services={services.map((one) => one.name)}
          />
          <div className="flex items-center gap-3">
            <Guarded permission="access:write" kind="primary" type="submit" disabled={save.busy}>
              Save rule
            </Guarded>
          </div>
          <ShowAs
            request={{
              method: "PUT",
              path: url,
              body,
              ifMatch: rule.meta.etag,
              document: { kind: "access_rule", mesh, service, name: rule.name },
            }}
          />
        </Form>
      </Card>
      <Card>
        <CardTitle>Delete this rule</CardTitle>
        <div className="flex items-center justify-between gap-6">
          <p className="text-muted">
            {rule.action === "deny"
              ? "Calls that it denied are then judged by the other rules."
              : "Calls that only it allowed are then denied or allowed as the mesh says."}
          </p>
          <DeleteButton
            what="rule"
            name={rule.name}
            permission="access:write"
            consequence="It stops to apply within seconds."
            request={{ method: "DELETE", path: url, ifMatch: rule.meta.etag }}
            remove={remove}
          />
        </div>
      </Card>
    </div>
  );
}
