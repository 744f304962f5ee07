// Those who were asked to become members and have not answered yet.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { type Invitation, invitationsQuery, type Role } from "../api/people";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { Guarded } from "../ui/access";
import { Badge, Button } from "../ui/basics";
import { DeleteButton } from "../ui/delete";
import { Dialog } from "../ui/dialog";
import { Form, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago, Until } from "../ui/time";
import { RoleSelect } from "./role-select";
import { RolesOf } from "./roles-of";

export function Invitations() {
  const query = useQuery(invitationsQuery());
  return (
    <div className="mt-8 space-y-3">
      <h2>Invitations</h2>
      <Loaded query={query} what="invitations" rows={2}>
        {(list) =>
          list.length === 0 ? (
            <p className="text-muted">Nobody is invited and has not answered yet.</p>
          ) : (
            <Table
              label="Invitations"
              rows={list}
              id={(one) => one.meta.uid}
              columns={[
                { head: "To", wide: true, cell: (one) => <span className="font-medium">{one.email}</span> },
                { head: "Role", cell: (one) => <RolesOf roles={[{ role: one.role }]} /> },
                { head: "Mail", cell: (one) => <Mail invitation={one} /> },
                { head: "Invited", cell: (one) => <Ago at={one.meta.created_at} /> },
                {
                  head: "Expires",
                  cell: (one) =>
                    one.state === "expired" ? (
                      <Badge tone="warn">expired</Badge>
                    ) : (
                      <Until at={one.expires_at} />
                    ),
                },
                {
                  head: "Actions",
                  end: true,
                  cell: (one) => (
                    <span className="flex justify-end gap-2">
                      <SendAgain invitation={one} />
                      <Withdraw invitation={one} />
                    </span>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
    </div>
  );
}

function Mail({ invitation }: { invitation: Invitation }) {
  switch (invitation.delivery) {
    case "sent":
      return <>sent</>;
    case "queued":
      return <span className="text-muted">to be sent</span>;
    case "failed":
      return <Badge tone="bad">not delivered</Badge>;
    default:
      return <span className="text-muted">unknown</span>;
  }
}

export function Invite({ close }: { close: () => void }) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState("viewer");
  const body = { email: email.trim(), role: role as Role };
  const save = useSave(
    () => good(api.POST("/v1/orgs/{org}/invitations", { params: { path: { org: "-" } }, body })),
    `${body.email} is invited`,
    close,
  );
  return (
    <Dialog title="Invite somebody" close={close}>
      <Form problem={save.problem} pointers={["/email", "/role"]} onSubmit={() => void save.run()}>
        <p>They get a link by mail, choose a password, and are a member. It works once, for seven days.</p>
        <Text
          label="E-mail address"
          type="email"
          pointer="/email"
          value={email}
          onChange={setEmail}
          autoFocus
          placeholder="ada@example.com"
        />
        <RoleSelect value={role} onChange={setRole} />
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={save.busy || body.email === ""}>
            Send invitation
          </Button>
        </div>
        <ShowAs request={{ method: "POST", path: "/v1/orgs/-/invitations", body }} />
      </Form>
    </Dialog>
  );
}

function SendAgain({ invitation }: { invitation: Invitation }) {
  const [open, setOpen] = useState(false);
  const path = `/v1/orgs/-/invitations/${invitation.meta.uid}/sendings`;
  const close = () => setOpen(false);
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/invitations/{invitation}/sendings", {
          params: { path: { org: "-", invitation: invitation.meta.uid } },
          body: {},
        }),
      ),
    "Sent again",
    close,
  );
  return (
    <>
      <Guarded
        permission="members:write"
        onClick={() => {
          save.reset();
          setOpen(true);
        }}
      >
        Send again
      </Guarded>
      {open && (
        <Dialog title={`Send the invitation to ${invitation.email} again?`} close={close}>
          <Form problem={save.problem} pointers={[]} onSubmit={() => void save.run()}>
            <p>The link in the mail before stops working. The new one works for another seven days.</p>
            <div className="flex justify-end gap-2">
              <Button onClick={close}>Cancel</Button>
              <Button type="submit" kind="primary" disabled={save.busy}>
                Send again
              </Button>
            </div>
            <ShowAs request={{ method: "POST", path, body: {} }} />
          </Form>
        </Dialog>
      )}
    </>
  );
}

function Withdraw({ invitation }: { invitation: Invitation }) {
  const remove = useSave(
    () =>
      good(
        api.DELETE("/v1/orgs/{org}/invitations/{invitation}", {
          params: { path: { org: "-", invitation: invitation.meta.uid } },
        }),
      ),
    "Invitation withdrawn",
  );
  return (
    <DeleteButton
      what="invitation"
      verb="Withdraw"
      name={`to ${invitation.email}`}
      permission="members:write"
      consequence="The link in the mail stops working. They are not told."
      request={{ method: "DELETE", path: `/v1/orgs/-/invitations/${invitation.meta.uid}` }}
      remove={remove}
    />
  );
}
