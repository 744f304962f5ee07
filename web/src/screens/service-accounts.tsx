// Programs that call the API.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Bot, Plus } from "lucide-react";
import { useState } from "react";
import { api } from "../api/client";
import { accountsQuery, type ServiceAccount } from "../api/people";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { Guarded, ReadOnlyNote } from "../ui/access";
import { Button, linkButton, PageHead } from "../ui/basics";
import { DeleteButton } from "../ui/delete";
import { Dialog } from "../ui/dialog";
import { Form, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago } from "../ui/time";
import { RolesOf } from "./roles-of";

export function ServiceAccounts() {
  const query = useQuery(accountsQuery());
  const [adding, setAdding] = useState(false);
  const add = (
    <Guarded permission="service_accounts:write" kind="primary" onClick={() => setAdding(true)}>
      <Plus aria-hidden className="size-4" /> Add service account
    </Guarded>
  );
  return (
    <>
      <title>Service accounts · Heddle</title>
      <PageHead
        title="Service accounts"
        about="Programs that call the API: a pipeline, Terraform, a controller. Each has roles like a person, and tokens of its own."
        actions={add}
      />
      <ReadOnlyNote permission="service_accounts:write" />
      <Loaded query={query} what="service accounts">
        {(list) =>
          list.length === 0 ? (
            <Empty icon={<Bot />} title="No service accounts yet" action={add}>
              What runs without a person should not run with a person's token: it would end when the person
              leaves.
            </Empty>
          ) : (
            <Table
              label="Service accounts"
              rows={list}
              id={(one) => one.meta.uid}
              columns={[
                {
                  head: "Service account",
                  wide: true,
                  cell: (one) => (
                    <span className="font-medium">
                      {one.name}
                      {one.display_name && (
                        <span className="ml-2 font-normal text-muted">{one.display_name}</span>
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
                      <Link to="/tokens" search={{ q: one.name }} className={linkButton()}>
                        Its tokens
                      </Link>
                      <Remove account={one} />
                    </span>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {adding && <Add close={() => setAdding(false)} />}
    </>
  );
}

function Add({ close }: { close: () => void }) {
  const [name, setName] = useState("");
  const [about, setAbout] = useState("");
  const body = { name, ...(about.trim() ? { display_name: about.trim() } : {}) };
  const save = useSave(
    () => good(api.POST("/v1/orgs/{org}/service-accounts", { params: { path: { org: "-" } }, body })),
    "Service account added",
    close,
  );
  return (
    <Dialog title="Add a service account" close={close}>
      <Form problem={save.problem} pointers={["/name", "/display_name"]} onSubmit={() => void save.run()}>
        <Text
          label="Name"
          pointer="/name"
          value={name}
          onChange={setName}
          mono
          autoFocus
          placeholder="deployer"
        />
        <Text
          label="What it is for"
          pointer="/display_name"
          value={about}
          onChange={setAbout}
          hint="Optional. It may do nothing until it has a role."
        />
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={save.busy || name === ""}>
            Add service account
          </Button>
        </div>
        <ShowAs request={{ method: "POST", path: "/v1/orgs/-/service-accounts", body }} />
      </Form>
    </Dialog>
  );
}

function Remove({ account }: { account: ServiceAccount }) {
  const path = { org: "-", service_account: account.name };
  const remove = useSave(
    () => good(api.DELETE("/v1/orgs/{org}/service-accounts/{service_account}", { params: { path } })),
    "Service account removed",
  );
  return (
    <DeleteButton
      what="account"
      verb="Remove"
      name={account.name}
      typed
      permission="service_accounts:write"
      consequence="Its roles and tokens end with the next request. What it did stays in the history."
      request={{ method: "DELETE", path: `/v1/orgs/-/service-accounts/${account.name}` }}
      remove={remove}
    />
  );
}
