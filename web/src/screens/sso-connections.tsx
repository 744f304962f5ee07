// The identity providers that members sign in by, and whether they have to.
import { useQuery } from "@tanstack/react-query";
import { Building2 } from "lucide-react";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { signInPolicyQuery } from "../api/people";
import { good } from "../api/problem";
import { ORG } from "../api/queries";
import { useSave } from "../api/save";
import { connectionsQuery, type SsoConnection } from "../api/sso";
import { Guarded } from "../ui/access";
import { Badge, Button, Card, CardTitle, Facts } from "../ui/basics";
import { DeleteButton } from "../ui/delete";
import { Dialog } from "../ui/dialog";
import { Form, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Empty, Loaded } from "../ui/states";

const path = { org: ORG };

export function SsoConnections() {
  const query = useQuery(connectionsQuery());
  const [adding, setAdding] = useState(false);
  const add = (
    <Guarded permission="members:write" onClick={() => setAdding(true)}>
      Connect a provider
    </Guarded>
  );
  return (
    <section className="mt-8">
      <CardTitle aside={add}>Single sign-on</CardTitle>
      <Loaded query={query} what="identity providers" rows={2}>
        {(list) =>
          list.length === 0 ? (
            <Empty icon={<Building2 />} title="No identity provider yet">
              Members sign in with a password that Heddle keeps. Connect your provider (OpenID Connect), and
              they sign in with the account that they have there.
            </Empty>
          ) : (
            <div className="space-y-4">
              {list.map((one) => (
                <Connection key={one.meta.uid} connection={one} />
              ))}
              <Required />
            </div>
          )
        }
      </Loaded>
      {adding && <Add close={() => setAdding(false)} />}
    </section>
  );
}

function Connection({ connection }: { connection: SsoConnection }) {
  const [open, setOpen] = useState<"test" | "secret" | null>(null);
  const item = { params: { path: { ...path, sso_connection: connection.name } } };
  const remove = useSave(
    () => good(api.DELETE("/v1/orgs/{org}/sso-connections/{sso_connection}", item)),
    `${connection.name} is gone`,
  );
  return (
    <Card>
      <CardTitle
        aside={
          <div className="flex gap-2">
            <Guarded permission="members:write" onClick={() => setOpen("test")}>
              Test
            </Guarded>
            <Guarded permission="members:write" onClick={() => setOpen("secret")}>
              Replace secret
            </Guarded>
            <DeleteButton
              permission="members:write"
              what="connection"
              name={connection.name}
              consequence="What members are known by there goes with it, and the sessions that began with a provider end."
              request={{ method: "DELETE", path: `/v1/orgs/-/sso-connections/${connection.name}` }}
              remove={remove}
              typed
            />
          </div>
        }
      >
        {connection.display_name ?? connection.name}
      </CardTitle>
      <Facts
        items={[
          ["Name", connection.name],
          ["Issuer", connection.issuer],
          ["Client", connection.client_id],
          ["Secret", connection.has_client_secret ? "kept sealed, shown to nobody" : "none"],
          ["Redirect URI", <code key="uri">{connection.redirect_uri}</code>],
        ]}
      />
      {open === "test" && <Test name={connection.name} close={() => setOpen(null)} />}
      {open === "secret" && <Secret name={connection.name} close={() => setOpen(null)} />}
    </Card>
  );
}

function Test({ name, close }: { name: string; close: () => void }) {
  const [found, setFound] = useState<Schemas["SsoConnectionTest"] | null>(null);
  const item = { params: { path: { ...path, sso_connection: name } }, body: {} };
  const save = useSave(
    () => good(api.POST("/v1/orgs/{org}/sso-connections/{sso_connection}/tests", item)),
    null,
    setFound,
  );
  return (
    <Dialog title={`Test ${name}`} close={close}>
      <Form problem={save.problem} pointers={[]} onSubmit={() => void save.run()}>
        <p>Reads what the provider says of itself, and shows it the secret. Nobody signs in.</p>
        {found && (
          <ul aria-label="What was found" className="space-y-2">
            {found.checks.map((one) => (
              <li key={one.check}>
                <Badge tone={one.passed ? "ok" : "bad"}>{one.passed ? "Passed" : "Failed"}</Badge>{" "}
                <span className="font-medium">{one.check}</span>: {one.detail}
              </li>
            ))}
          </ul>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Close</Button>
          <Button type="submit" kind="primary" disabled={save.busy}>
            {save.busy ? "Testing…" : "Test"}
          </Button>
        </div>
      </Form>
    </Dialog>
  );
}

function Secret({ name, close }: { name: string; close: () => void }) {
  const [secret, setSecret] = useState("");
  const item = { params: { path: { ...path, sso_connection: name } }, body: { client_secret: secret } };
  const save = useSave(
    () => good(api.PATCH("/v1/orgs/{org}/sso-connections/{sso_connection}", item)),
    "The secret is replaced",
    close,
  );
  return (
    <Dialog title={`Replace the secret of ${name}`} close={close}>
      <Form problem={save.problem} pointers={["/client_secret"]} onSubmit={() => void save.run()}>
        <Text
          label="Client secret"
          pointer="/client_secret"
          type="password"
          autoComplete="off"
          autoFocus
          value={secret}
          onChange={setSecret}
        />
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={save.busy || secret === ""}>
            Replace
          </Button>
        </div>
      </Form>
    </Dialog>
  );
}

function Add({ close }: { close: () => void }) {
  const [name, setName] = useState("");
  const [display, setDisplay] = useState("");
  const [issuer, setIssuer] = useState("");
  const [client, setClient] = useState("");
  const [secret, setSecret] = useState("");
  const body = {
    name: name.trim(),
    issuer: issuer.trim(),
    client_id: client.trim(),
    ...(display.trim() ? { display_name: display.trim() } : {}),
    ...(secret ? { client_secret: secret } : {}),
  };
  const save = useSave(
    () => good(api.POST("/v1/orgs/{org}/sso-connections", { params: { path }, body })),
    `${body.name} is connected`,
    close,
  );
  return (
    <Dialog title="Connect a provider" close={close}>
      <Form
        problem={save.problem}
        pointers={["/name", "/display_name", "/issuer", "/client_id", "/client_secret"]}
        onSubmit={() => void save.run()}
      >
        <Text
          label="Name"
          pointer="/name"
          mono
          autoFocus
          value={name}
          onChange={setName}
          placeholder="workforce"
          hint="Part of the redirect URI that you register at the provider."
        />
        <Text
          label="On the button"
          pointer="/display_name"
          value={display}
          onChange={setDisplay}
          placeholder="Acme Workforce"
          hint="Optional."
        />
        <Text
          label="Issuer"
          pointer="/issuer"
          mono
          value={issuer}
          onChange={setIssuer}
          placeholder="https://id.example.com"
          hint="Letter by letter as the provider calls itself."
        />
        <Text label="Client id" pointer="/client_id" mono value={client} onChange={setClient} />
        <Text
          label="Client secret"
          pointer="/client_secret"
          type="password"
          autoComplete="off"
          value={secret}
          onChange={setSecret}
          hint="Kept sealed. Leave it out for a client that has none."
        />
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button
            type="submit"
            kind="primary"
            disabled={save.busy || body.name === "" || body.issuer === "" || body.client_id === ""}
          >
            Connect
          </Button>
        </div>
        <ShowAs
          request={{
            method: "POST",
            path: "/v1/orgs/-/sso-connections",
            body: { ...body, ...(secret ? { client_secret: "…" } : {}) },
          }}
        />
      </Form>
    </Dialog>
  );
}

function Required() {
  const query = useQuery(signInPolicyQuery());
  const [asking, setAsking] = useState(false);
  return (
    <Card>
      <CardTitle
        aside={
          <Guarded
            permission="members:write"
            disabled={query.data === undefined}
            onClick={() => setAsking(true)}
          >
            {query.data?.require_sso ? "Allow passwords" : "Require it"}
          </Guarded>
        }
      >
        Single sign-on for everybody
      </CardTitle>
      <Loaded query={query} what="what is asked at sign-in" rows={1}>
        {(policy) => (
          <p>
            {policy.require_sso ? <Badge tone="ok">Required</Badge> : <Badge tone="neutral">Optional</Badge>}{" "}
            {policy.members_without_identity === 0
              ? "Every member has linked an account."
              : `${policy.members_without_identity} ${
                  policy.members_without_identity === 1 ? "member has" : "members have"
                } linked none yet.`}
          </p>
        )}
      </Loaded>
      {asking && query.data && (
        <AskForIt
          next={!query.data.require_sso}
          without={query.data.members_without_identity}
          close={() => setAsking(false)}
        />
      )}
    </Card>
  );
}

function AskForIt({ next, without, close }: { next: boolean; without: number; close: () => void }) {
  const body = { require_sso: next };
  const save = useSave(
    () => good(api.PATCH("/v1/orgs/{org}/sign-in-policy", { params: { path }, body })),
    next ? "Single sign-on is required" : "Passwords are allowed",
    close,
  );
  return (
    <Dialog title={next ? "Require single sign-on" : "Allow passwords"} close={close}>
      <Form problem={save.problem} pointers={[]} onSubmit={() => void save.run()}>
        <p>
          {next
            ? `A session that begins with a password can link an account and do nothing else; owners with a second factor can, for when the provider is away. ${without} of your members have linked none yet. Sessions of devices end.`
            : "Members sign in with a password or with the provider, as they like."}
        </p>
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={save.busy}>
            {next ? "Require it" : "Allow passwords"}
          </Button>
        </div>
        <ShowAs request={{ method: "PATCH", path: "/v1/orgs/-/sign-in-policy", body }} />
      </Form>
    </Dialog>
  );
}
