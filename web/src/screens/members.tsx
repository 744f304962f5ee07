// The people of the organisation.
import { useQuery } from "@tanstack/react-query";
import { Mail, UserPlus, Users } from "lucide-react";
import { useState } from "react";
import { api } from "../api/client";
import { type Member, membersQuery, type Role } from "../api/people";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { Guarded, ReadOnlyNote } from "../ui/access";
import { Badge, Button, PageHead } from "../ui/basics";
import { DeleteButton } from "../ui/delete";
import { Dialog } from "../ui/dialog";
import { Form, Text } from "../ui/form";
import { SecretOnce } from "../ui/secret";
import { ShowAs } from "../ui/show-as";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago } from "../ui/time";
import { Invitations, Invite } from "./invitations";
import { RoleSelect } from "./role-select";
import { RolesOf } from "./roles-of";
import { ResetSecondFactor } from "./second-factor-reset";
import { SignInPolicy } from "./sign-in-policy";
import { SsoConnections } from "./sso-connections";

export function Members() {
  const query = useQuery(membersQuery());
  const [adding, setAdding] = useState(false);
  const [inviting, setInviting] = useState(false);
  const add = (
    <>
      <Guarded permission="members:write" onClick={() => setAdding(true)}>
        <UserPlus aria-hidden className="size-4" /> Add member
      </Guarded>
      <Guarded permission="members:write" kind="primary" onClick={() => setInviting(true)}>
        <Mail aria-hidden className="size-4" /> Invite
      </Guarded>
    </>
  );
  return (
    <>
      <title>Members · Heddle</title>
      <PageHead title="Members" about="The people who sign in to this organisation." actions={add} />
      <ReadOnlyNote permission="members:write" />
      <Loaded query={query} what="members">
        {(list) => (
          <>
            {list.length === 0 ? (
              <Empty icon={<Users />} title="No members yet" action={add}>
                Everything so far was done with API tokens. A member signs in with an e-mail address and a
                password.
              </Empty>
            ) : (
              <Table
                label="Members"
                rows={list}
                id={(one) => one.meta.uid}
                columns={[
                  {
                    head: "Member",
                    wide: true,
                    cell: (one) => (
                      <span className="font-medium">
                        {one.display_name ?? one.email}
                        {one.display_name && <span className="ml-2 font-normal text-muted">{one.email}</span>}
                        {one.has_second_factor && (
                          <span className="ml-2">
                            <Badge tone="ok">Second factor</Badge>
                          </span>
                        )}
                      </span>
                    ),
                  },
                  { head: "Roles", cell: (one) => <RolesOf roles={one.roles} /> },
                  { head: "Added", cell: (one) => <Ago at={one.meta.created_at} /> },
                  {
                    head: "Actions",
                    end: true,
                    cell: (one) => (
                      <span className="flex justify-end gap-2">
                        {one.has_second_factor && <ResetSecondFactor member={one} />}
                        <NewPassword member={one} />
                        <Remove member={one} />
                      </span>
                    ),
                  },
                ]}
              />
            )}
            <SignInPolicy />
            <SsoConnections />
            <Invitations />
          </>
        )}
      </Loaded>
      {adding && <Add close={() => setAdding(false)} />}
      {inviting && <Invite close={() => setInviting(false)} />}
    </>
  );
}

function Add({ close }: { close: () => void }) {
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState("viewer");
  const [password, setPassword] = useState<string | null>(null);
  const body = {
    email: email.trim(),
    ...(name.trim() ? { display_name: name.trim() } : {}),
    ...(role ? { role: role as Role } : {}),
  };
  const save = useSave(
    () => good(api.POST("/v1/orgs/{org}/members", { params: { path: { org: "-" } }, body })),
    null,
    (made) => setPassword(made.initial_password ?? ""),
  );
  if (password !== null)
    return (
      <Dialog title={`${body.email} was added`} close={close}>
        <SecretOnce
          what="password"
          secret={password}
          about="Give it to the person in a safe way. Whoever has it can sign in and change it."
          done={close}
        />
      </Dialog>
    );
  return (
    <Dialog title="Add a member" close={close}>
      <Form
        problem={save.problem}
        pointers={["/email", "/display_name", "/role"]}
        onSubmit={() => void save.run()}
      >
        <Text
          label="E-mail address"
          type="email"
          pointer="/email"
          value={email}
          onChange={setEmail}
          autoFocus
          placeholder="ada@example.com"
        />
        <Text label="Name" pointer="/display_name" value={name} onChange={setName} hint="Optional." />
        <RoleSelect value={role} onChange={setRole} none="No role yet" />
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={save.busy || body.email === ""}>
            Add member
          </Button>
        </div>
        <ShowAs request={{ method: "POST", path: "/v1/orgs/-/members", body }} />
      </Form>
    </Dialog>
  );
}

function NewPassword({ member }: { member: Member }) {
  const [open, setOpen] = useState(false);
  const [password, setPassword] = useState<string | null>(null);
  const path = `/v1/orgs/-/members/${member.meta.uid}/password-resets`;
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/members/{member}/password-resets", {
          params: { path: { org: "-", member: member.meta.uid } },
          body: {},
        }),
      ),
    null,
    (made) => setPassword(made.initial_password ?? ""),
  );
  const close = () => setOpen(false);
  return (
    <>
      <Guarded
        permission="members:write"
        onClick={() => {
          save.reset();
          setPassword(null);
          setOpen(true);
        }}
      >
        New password
      </Guarded>
      {open && (
        <Dialog title={`A new password for ${member.email}`} close={close}>
          {password !== null ? (
            <SecretOnce
              what="password"
              secret={password}
              about="The one before does not work any longer."
              done={close}
            />
          ) : (
            <Form problem={save.problem} pointers={[]} onSubmit={() => void save.run()}>
              <p>The password that they have now stops working, and their sessions end.</p>
              <div className="flex justify-end gap-2">
                <Button onClick={close}>Keep the old one</Button>
                <Button type="submit" kind="primary" disabled={save.busy}>
                  Make a new password
                </Button>
              </div>
              <ShowAs request={{ method: "POST", path, body: {} }} />
            </Form>
          )}
        </Dialog>
      )}
    </>
  );
}

function Remove({ member }: { member: Member }) {
  const remove = useSave(
    () =>
      good(
        api.DELETE("/v1/orgs/{org}/members/{member}", {
          params: { path: { org: "-", member: member.meta.uid } },
        }),
      ),
    "Member removed",
  );
  return (
    <DeleteButton
      what="member"
      verb="Remove"
      name={member.email}
      typed
      permission="members:write"
      consequence="Their roles, API tokens and sessions end with the next request. What they did stays in the history."
      request={{ method: "DELETE", path: `/v1/orgs/-/members/${member.meta.uid}` }}
      remove={remove}
    />
  );
}
