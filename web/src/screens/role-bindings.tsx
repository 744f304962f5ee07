// Who has which role, in the organisation or at one mesh.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Plus, UserCog } from "lucide-react";
import { useState } from "react";
import { api } from "../api/client";
import { accountsQuery, bindingsQuery, membersQuery, type Role, type RoleBinding } from "../api/people";
import { good } from "../api/problem";
import { meshesQuery } from "../api/queries";
import { useSave } from "../api/save";
import { called } from "../shell/shell";
import { Guarded, ReadOnlyNote } from "../ui/access";
import { Badge, Button, PageHead } from "../ui/basics";
import { DeleteButton } from "../ui/delete";
import { Dialog } from "../ui/dialog";
import { Form, Select } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago } from "../ui/time";
import { RoleSelect } from "./role-select";

const nameOf = (binding: RoleBinding) => binding.principal.email ?? binding.principal.name ?? "";

export function RoleBindings() {
  const query = useQuery(bindingsQuery());
  const [adding, setAdding] = useState(false);
  const add = (
    <Guarded permission="role_bindings:write" kind="primary" onClick={() => setAdding(true)}>
      <Plus aria-hidden className="size-4" /> Give a role
    </Guarded>
  );
  return (
    <>
      <title>Roles · Heddle</title>
      <PageHead
        title="Roles"
        about="Who may do what, in the whole organisation or at one mesh. Who has no role at a mesh does not learn that it exists."
        actions={add}
      />
      <ReadOnlyNote permission="role_bindings:write" />
      <Loaded query={query} what="roles">
        {(list) =>
          list.length === 0 ? (
            <Empty icon={<UserCog />} title="Nobody has a role yet" action={add}>
              Give a member or a service account a role; until then they may do nothing.
            </Empty>
          ) : (
            <Table
              label="Roles"
              rows={list}
              id={(one) => one.meta.uid}
              columns={[
                {
                  head: "Who",
                  wide: true,
                  cell: (one) => (
                    <span className="font-medium">
                      {nameOf(one)}
                      {one.principal.kind === "service_account" && (
                        <span className="ml-2 font-normal text-muted">service account</span>
                      )}
                    </span>
                  ),
                },
                { head: "Role", cell: (one) => <Badge tone="accent">{one.role}</Badge> },
                {
                  head: "Where",
                  cell: (one) =>
                    one.mesh?.name ? (
                      <>
                        <Link
                          to="/meshes/$mesh"
                          params={{ mesh: one.mesh.name }}
                          className="text-accent hover:underline"
                        >
                          {one.mesh.name}
                        </Link>
                        {one.service && <span className="text-muted"> for {one.service} alone</span>}
                      </>
                    ) : (
                      "whole organisation"
                    ),
                },
                { head: "Given by", cell: (one) => called(one.meta.created_by) },
                { head: "When", cell: (one) => <Ago at={one.meta.created_at} /> },
                { head: "Actions", end: true, cell: (one) => <Take binding={one} /> },
              ]}
            />
          )
        }
      </Loaded>
      {adding && <Give close={() => setAdding(false)} />}
    </>
  );
}

function Give({ close }: { close: () => void }) {
  const members = useQuery(membersQuery()).data ?? [];
  const accounts = useQuery(accountsQuery()).data ?? [];
  const meshes = useQuery(meshesQuery()).data ?? [];
  const [who, setWho] = useState("");
  const [role, setRole] = useState("viewer");
  const [mesh, setMesh] = useState("");
  const [kind, name] = [who.slice(0, 1), who.slice(2)];
  const body = {
    role: role as Role,
    ...(kind === "m" ? { member: name } : { service_account: name }),
    ...(mesh ? { mesh } : {}),
  };
  const save = useSave(
    () => good(api.POST("/v1/orgs/{org}/role-bindings", { params: { path: { org: "-" } }, body })),
    "Role given",
    close,
  );
  return (
    <Dialog title="Give a role" close={close}>
      <Form
        problem={save.problem}
        pointers={["/member", "/service_account", "/role", "/mesh"]}
        onSubmit={() => void save.run()}
      >
        <Select
          label="To"
          pointer={kind === "m" ? "/member" : "/service_account"}
          value={who}
          onChange={setWho}
          options={[
            ["", "Choose…"],
            ...members.map((one): [string, string] => [`m ${one.email}`, one.email]),
            ...accounts.map((one): [string, string] => [`s ${one.name}`, `${one.name} (service account)`]),
          ]}
        />
        <RoleSelect value={role} onChange={setRole} />
        <Select
          label="Where"
          pointer="/mesh"
          value={mesh}
          onChange={setMesh}
          options={[
            ["", "In the whole organisation"],
            ...meshes.map((one): [string, string] => [one.name, `At the mesh ${one.name}`]),
          ]}
        />
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={save.busy || who === ""}>
            Give role
          </Button>
        </div>
        <ShowAs request={{ method: "POST", path: "/v1/orgs/-/role-bindings", body }} />
      </Form>
    </Dialog>
  );
}

function Take({ binding }: { binding: RoleBinding }) {
  const uid = binding.meta.uid;
  const remove = useSave(
    () =>
      good(
        api.DELETE("/v1/orgs/{org}/role-bindings/{role_binding}", {
          params: { path: { org: "-", role_binding: uid } },
        }),
      ),
    "Role taken away",
  );
  return (
    <DeleteButton
      what="role"
      verb="Take away"
      name={`${binding.role} of ${nameOf(binding)}`}
      permission="role_bindings:write"
      consequence="What only this role permits is refused with the next request."
      request={{ method: "DELETE", path: `/v1/orgs/-/role-bindings/${uid}` }}
      remove={remove}
    />
  );
}
