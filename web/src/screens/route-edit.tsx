// A route and its split: what it matches, where its requests go, and the canary.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { good } from "../api/problem";
import { proxiesQuery, routeQuery, servicesQuery, splitQuery } from "../api/queries";
import { useSave } from "../api/save";
import type { Route } from "../api/types";
import { Guarded, ReadOnlyNote, useMay } from "../ui/access";
import { Card, CardTitle, linkButton, PageHead } from "../ui/basics";
import { ServiceCrumbs } from "../ui/crumbs";
import { DeleteButton } from "../ui/delete";
import { Form, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Loaded } from "../ui/states";
import { EffectiveSettings } from "./effective";
import { backendsPointers, RouteFieldset, routeFieldsOf, routeSpecOf } from "./route-form";
import { versions } from "./services";
import { SplitCard } from "./split-editor";

export function RouteNew() {
  const { mesh, service } = useParams({ from: "/inside/meshes/$mesh/services/$service/routes/new" });
  const navigate = useNavigate();
  const may = useMay("config:write");
  const [name, setName] = useState("");
  const [fields, setFields] = useState(() => routeFieldsOf(undefined, service));
  const choices = useChoices(mesh, service);
  const body: Schemas["CreateRoute"] = { name, ...routeSpecOf(fields, undefined) };
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes", {
          params: { path: { org: "-", mesh, service } },
          body,
        }),
      ),
    "Route created",
    () =>
      void navigate({
        to: "/meshes/$mesh/services/$service/routes/$route",
        params: { mesh, service, route: name },
      }),
  );
  return (
    <div className="max-w-3xl">
      <title>{`New route · ${service} · Heddle`}</title>
      <PageHead title="New route" crumbs={<ServiceCrumbs mesh={mesh} service={service} at="New route" />} />
      <ReadOnlyNote permission="config:write" />
      <Card>
        <Form
          problem={save.problem}
          pointers={["/name", ...backendsPointers]}
          onSubmit={() => void save.run()}
        >
          <Text
            label="Name"
            pointer="/name"
            value={name}
            onChange={setName}
            disabled={!may}
            mono
            placeholder="charges"
            hint="Unique within the service. It never changes."
          />
          <RouteFieldset fields={fields} set={setFields} disabled={!may} choices={choices} />
          <div className="flex gap-2">
            <Guarded
              permission="config:write"
              kind="primary"
              type="submit"
              disabled={save.busy || name === ""}
            >
              Create route
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
              path: `/v1/orgs/-/meshes/${mesh}/services/${service}/routes`,
              body,
              document: { kind: "route", mesh, service },
            }}
          />
        </Form>
      </Card>
    </div>
  );
}

export function RouteEdit() {
  const { mesh, service, route } = useParams({
    from: "/inside/meshes/$mesh/services/$service/routes/$route",
  });
  const query = useQuery(routeQuery(mesh, service, route));
  const split = useQuery(splitQuery(mesh, service, route));
  return (
    <div className="max-w-3xl">
      <title>{`${route} · ${service} · Heddle`}</title>
      <PageHead
        title={query.data?.display_name ?? route}
        crumbs={<ServiceCrumbs mesh={mesh} service={service} at="Route" />}
      />
      <ReadOnlyNote permission="config:write" />
      <Loaded query={query} what="route">
        {(found) => (
          <div className="space-y-6">
            <Loaded query={split} what="split" rows={3}>
              {(current) => (
                <SplitCard
                  key={current?.meta.etag ?? "none"}
                  mesh={mesh}
                  service={service}
                  route={found}
                  split={current}
                />
              )}
            </Loaded>
            <EffectiveSettings mesh={mesh} service={service} route={route} />
            <Edit key={found.meta.etag} mesh={mesh} service={service} route={found} />
          </div>
        )}
      </Loaded>
    </div>
  );
}

function useChoices(mesh: string, service: string) {
  const { data: services } = useQuery(servicesQuery(mesh));
  const { data: proxies } = useQuery(proxiesQuery(mesh));
  return {
    service,
    services: (services ?? []).map((one) => one.name),
    versions: versions((proxies ?? []).filter((proxy) => proxy.service === service)),
  };
}

function Edit({ mesh, service, route }: { mesh: string; service: string; route: Route }) {
  const may = useMay("config:write");
  const navigate = useNavigate();
  const [fields, setFields] = useState(() => routeFieldsOf(route, service));
  const choices = useChoices(mesh, service);
  const body = routeSpecOf(fields, route);
  const path = { org: "-", mesh, service, route: route.name };
  const url = `/v1/orgs/-/meshes/${mesh}/services/${service}/routes/${route.name}`;
  const headers = { "If-Match": route.meta.etag };
  const save = useSave(
    () =>
      good(
        api.PUT("/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes/{route}", {
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
        api.DELETE("/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes/{route}", {
          params: { path },
          headers,
        }),
      ),
    "Route deleted",
    () => void navigate({ to: "/meshes/$mesh/services/$service", params: { mesh, service } }),
  );
  return (
    <>
      <Card>
        <CardTitle>Matching and settings</CardTitle>
        <Form problem={save.problem} pointers={backendsPointers} onSubmit={() => void save.run()}>
          <RouteFieldset fields={fields} set={setFields} disabled={!may} choices={choices} />
          <div className="flex items-center gap-3">
            <Guarded permission="config:write" kind="primary" type="submit" disabled={save.busy}>
              Save route
            </Guarded>
          </div>
          <ShowAs
            request={{
              method: "PUT",
              path: url,
              body,
              ifMatch: route.meta.etag,
              document: { kind: "route", mesh, service, name: route.name },
            }}
          />
        </Form>
      </Card>
      <Card>
        <CardTitle>Delete this route</CardTitle>
        <div className="flex items-center justify-between gap-6">
          <p className="text-muted">Requests that it matches take the next route, or go to all instances.</p>
          <DeleteButton
            what="route"
            name={route.name}
            permission="config:write"
            consequence="Its split goes with it. Requests that it matches take the next route, or go to all instances."
            request={{ method: "DELETE", path: url, ifMatch: route.meta.etag }}
            remove={remove}
          />
        </div>
      </Card>
    </>
  );
}
