// A route and its split: what it matches, where its requests go, and the canary.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { good } from "../api/problem";
import { proxiesQuery, routeQuery, servicesQuery, splitQuery } from "../api/queries";
import { useSave } from "../api/save";
import type { Route } from "../api/types";
import { ReadOnlyNote, useMay } from "../ui/access";
import { linkButton, PageHead } from "../ui/basics";
import { ServiceCrumbs } from "../ui/crumbs";
import { CreateForm, DeleteCard, EditForm } from "../ui/editor";
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
      <CreateForm
        what="route"
        permission="config:write"
        save={save}
        pointers={backendsPointers}
        name={{
          value: name,
          set: setName,
          placeholder: "charges",
          hint: "Unique within the service. It never changes.",
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
          path: `/v1/orgs/-/meshes/${mesh}/services/${service}/routes`,
          body,
          document: { kind: "route", mesh, service },
        }}
      >
        <RouteFieldset fields={fields} set={setFields} disabled={!may} choices={choices} />
      </CreateForm>
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
    <div className="max-w-3xl 2xl:max-w-none">
      <title>{`${route} · ${service} · Heddle`}</title>
      <PageHead
        title={query.data?.display_name ?? route}
        crumbs={<ServiceCrumbs mesh={mesh} service={service} at="Route" />}
      />
      <ReadOnlyNote permission="config:write" />
      <Loaded query={query} what="route">
        {(found) => (
          <div className="grid items-start gap-6 2xl:grid-cols-2">
            <div className="min-w-0 space-y-6">
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
            </div>
            <div className="min-w-0 space-y-6">
              <Edit key={found.meta.etag} mesh={mesh} service={service} route={found} />
            </div>
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
    (query) =>
      good(
        api.PUT("/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes/{route}", {
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
        api.DELETE("/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes/{route}", {
          params: { path, query },
          headers,
        }),
      ),
    "Route deleted",
    () => void navigate({ to: "/meshes/$mesh/services/$service", params: { mesh, service } }),
  );
  return (
    <>
      <EditForm
        title="Matching and settings"
        button="Save route"
        permission="config:write"
        save={save}
        pointers={backendsPointers}
        request={{
          method: "PUT",
          path: url,
          body,
          ifMatch: route.meta.etag,
          document: { kind: "route", mesh, service, name: route.name },
        }}
      >
        <RouteFieldset fields={fields} set={setFields} disabled={!may} choices={choices} />
      </EditForm>
      <DeleteCard
        what="route"
        name={route.name}
        permission="config:write"
        about="Requests that it matches take the next route, or go to all instances."
        consequence="Its split goes with it. Requests that it matches take the next route, or go to all instances."
        request={{ method: "DELETE", path: url, ifMatch: route.meta.etag }}
        remove={remove}
      />
    </>
  );
}
