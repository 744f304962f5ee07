// API tokens: one's own, and with the permission everybody's.
import { useQuery } from "@tanstack/react-query";
import { KeyRound, Plus } from "lucide-react";
import { useState } from "react";
import { api } from "../api/client";
import { type ApiToken, tokensQuery } from "../api/people";
import { good } from "../api/problem";
import { meshesQuery } from "../api/queries";
import { useSave } from "../api/save";
import { Guarded, ReadOnlyNote } from "../ui/access";
import { Badge, Button, PageHead, type Tone } from "../ui/basics";
import { DeleteButton } from "../ui/delete";
import { Dialog } from "../ui/dialog";
import { SearchField, useFilter } from "../ui/filter";
import { Form, Select } from "../ui/form";
import { SecretOnce } from "../ui/secret";
import { ShowAs } from "../ui/show-as";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago, Until } from "../ui/time";
import { TokenNew } from "./token-new";

const tone: Record<string, Tone> = { active: "ok", expired: "neutral", revoked: "bad" };
const SOON = 14 * 86_400_000;

const ownerOf = (token: ApiToken) =>
  token.owner?.email ?? token.owner?.name ?? `${token.role ?? ""}, from the command line`;

export function Tokens() {
  const query = useQuery(tokensQuery());
  const { q, set } = useFilter();
  const [adding, setAdding] = useState(false);
  const add = (
    <Guarded permission="account:manage" kind="primary" onClick={() => setAdding(true)}>
      <Plus aria-hidden className="size-4" /> New token
    </Guarded>
  );
  const wanted = q?.toLowerCase() ?? "";
  return (
    <>
      <title>API tokens · Heddle</title>
      <PageHead
        title="API tokens"
        about="What people and programs call the API with. A secret is shown once; a token that is revoked stops working with the next request."
        actions={add}
      />
      <ReadOnlyNote permission="account:manage" />
      <Loaded query={query} what="API tokens">
        {(list) =>
          list.length === 0 ? (
            <Empty icon={<KeyRound />} title="No API tokens" action={add}>
              For a shell, a pipeline or Terraform: a token may do what its owner may do, or less.
            </Empty>
          ) : (
            <>
              <div className="mb-4">
                <SearchField label="Find a token" q={q} set={(text) => set({ q: text })} />
              </div>
              <Rows
                list={list.filter((one) => `${one.name} ${ownerOf(one)}`.toLowerCase().includes(wanted))}
              />
            </>
          )
        }
      </Loaded>
      {adding && <TokenNew close={() => setAdding(false)} />}
    </>
  );
}

function Rows({ list }: { list: ApiToken[] }) {
  if (list.length === 0)
    return <Empty title="No token matches">Change what you search for to see others.</Empty>;
  return (
    <Table
      label="API tokens"
      rows={list}
      id={(one) => one.meta.uid}
      columns={[
        {
          head: "Token",
          wide: true,
          cell: (one) => (
            <span className="font-medium">
              {one.name}
              <span className="ml-2 font-normal text-muted">{ownerOf(one)}</span>
            </span>
          ),
        },
        { head: "May", cell: (one) => <Reach token={one} /> },
        { head: "State", cell: (one) => <Badge tone={tone[one.state] ?? "neutral"}>{one.state}</Badge> },
        { head: "Expires", cell: (one) => <Expires token={one} /> },
        {
          head: "Last used",
          cell: (one) => (one.meta.last_used_at ? <Ago at={one.meta.last_used_at} /> : "never"),
        },
        {
          head: "Actions",
          end: true,
          cell: (one) =>
            one.state === "revoked" ? null : (
              <span className="flex justify-end gap-2">
                <Rotate token={one} />
                <Revoke token={one} />
              </span>
            ),
        },
      ]}
    />
  );
}

function Reach({ token }: { token: ApiToken }) {
  const { data: meshes } = useQuery(meshesQuery());
  const name = (uid: string) => meshes?.find((mesh) => mesh.meta.uid === uid)?.name ?? uid;
  const what = token.scopes
    ? `${token.scopes.length} ${token.scopes.length === 1 ? "permission" : "permissions"}`
    : "all of its owner's";
  const where = token.meshes ? ` at ${token.meshes.map(name).join(", ")}` : "";
  return (
    <span title={token.scopes?.join(", ")}>
      {what}
      {where}
    </span>
  );
}

function Expires({ token }: { token: ApiToken }) {
  if (!token.expires_at) return <>never</>;
  const soon = token.state === "active" && Date.parse(token.expires_at) - Date.now() < SOON;
  return (
    <span className={soon ? "font-medium text-warn" : undefined}>
      <Until at={token.expires_at} />
    </span>
  );
}

function Rotate({ token }: { token: ApiToken }) {
  const [open, setOpen] = useState(false);
  const [overlap, setOverlap] = useState("24h");
  const [secret, setSecret] = useState<string | null>(null);
  const body = { overlap };
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/tokens/{api_token}/rotations", {
          params: { path: { org: "-", api_token: token.meta.uid } },
          body,
        }),
      ),
    null,
    (made) => setSecret(made.secret ?? ""),
  );
  const close = () => setOpen(false);
  return (
    <>
      <Guarded
        permission="account:manage"
        onClick={() => {
          save.reset();
          setSecret(null);
          setOpen(true);
        }}
      >
        Rotate
      </Guarded>
      {open && (
        <Dialog title={`A new secret for ${token.name}`} close={close}>
          {secret !== null ? (
            <SecretOnce
              what="secret"
              secret={secret}
              about={
                overlap === "0s"
                  ? "The one before does not work any longer."
                  : `The one before works for another ${overlap}.`
              }
              done={close}
            />
          ) : (
            <Form problem={save.problem} pointers={["/overlap"]} onSubmit={() => void save.run()}>
              <Select
                label="The secret before works for another"
                pointer="/overlap"
                value={overlap}
                onChange={setOverlap}
                options={[
                  ["0s", "moment: it stops at once"],
                  ["1h", "hour"],
                  ["24h", "day"],
                  ["168h", "week"],
                ]}
                hint="Time to put the new one where the old one is."
              />
              <div className="flex justify-end gap-2">
                <Button onClick={close}>Cancel</Button>
                <Button type="submit" kind="primary" disabled={save.busy}>
                  Make a new secret
                </Button>
              </div>
              <ShowAs
                request={{ method: "POST", path: `/v1/orgs/-/tokens/${token.meta.uid}/rotations`, body }}
              />
            </Form>
          )}
        </Dialog>
      )}
    </>
  );
}

function Revoke({ token }: { token: ApiToken }) {
  const remove = useSave(
    () =>
      good(
        api.DELETE("/v1/orgs/{org}/tokens/{api_token}", {
          params: { path: { org: "-", api_token: token.meta.uid } },
        }),
      ),
    "Token revoked",
  );
  return (
    <DeleteButton
      what="token"
      verb="Revoke"
      name={token.name}
      permission="account:manage"
      consequence="Whatever calls with it is refused with the next request. It cannot be brought back."
      request={{ method: "DELETE", path: `/v1/orgs/-/tokens/${token.meta.uid}` }}
      remove={remove}
    />
  );
}
