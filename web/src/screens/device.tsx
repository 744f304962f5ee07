// Letting in a program that has no browser (RFC 8628): it shows a code, and whoever signed in here decides.
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { CircleCheck, CircleX, TriangleAlert } from "lucide-react";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { deviceQuery } from "../api/people";
import { good } from "../api/problem";
import { whoamiQuery } from "../api/queries";
import { useSave } from "../api/save";
import { signOut } from "../api/sign-out";
import { Guarded } from "../ui/access";
import { Button, Callout, Card, Facts, PageHead } from "../ui/basics";
import { Form, Text } from "../ui/form";
import { Empty, Loaded } from "../ui/states";
import { Until } from "../ui/time";

export function Device() {
  const { code } = useSearch({ from: "/inside/device" });
  const who = useQuery(whoamiQuery());
  return (
    <div className="max-w-xl">
      <title>Let in a device · Heddle</title>
      <PageHead
        title="Let in a device"
        about="A program on a machine without a browser, such as the command line on a server, shows a code. Whoever it belongs to types it here."
      />
      <Loaded query={who} what="who you are">
        {(me) =>
          me.session ? (
            <TypeOrDecide key={code} code={code} email={me.principal?.email ?? ""} />
          ) : (
            <Empty
              title="Sign in as a person"
              action={<Button onClick={() => void signOut()}>Sign in with a password</Button>}
            >
              A device gets a session of whoever lets it in. You are signed in with an API token, which has
              none to give.
            </Empty>
          )
        }
      </Loaded>
    </div>
  );
}

function TypeOrDecide({ code, email }: { code: string | undefined; email: string }) {
  const [typed, setTyped] = useState(code ?? "");
  const navigate = useNavigate();
  return (
    <div className="space-y-6">
      <Card>
        <Form
          problem={null}
          pointers={[]}
          onSubmit={() => void navigate({ to: "/device", search: { code: typed.trim() }, replace: true })}
        >
          <Text
            label="Code"
            value={typed}
            onChange={setTyped}
            mono
            autoFocus={code === undefined}
            placeholder="XXXX-XXXX"
            hint="As the program shows it."
          />
          <Button type="submit" kind={code ? "plain" : "primary"} disabled={typed.trim() === ""}>
            Look up
          </Button>
        </Form>
      </Card>
      {code && <Asked code={code} email={email} />}
    </div>
  );
}

function Asked({ code, email }: { code: string; email: string }) {
  const query = useQuery(deviceQuery(code));
  const [decided, setDecided] = useState<"approved" | "denied" | null>(null);
  if (decided === "approved")
    return (
      <Empty icon={<CircleCheck />} title="It is let in">
        The program goes on by itself within seconds; you can close this page. Your account lists its session.
      </Empty>
    );
  if (decided === "denied")
    return (
      <Empty icon={<CircleX />} title="It is not let in">
        The program is told so. If you did not start it, somebody else tried to be you.
      </Empty>
    );
  return (
    <Loaded query={query} what="code" rows={3}>
      {(asked) => <Decide code={code} email={email} asked={asked} decided={setDecided} />}
    </Loaded>
  );
}

function Decide({
  code,
  email,
  asked,
  decided,
}: {
  code: string;
  email: string;
  asked: Schemas["DeviceAuthorization"];
  decided: (what: "approved" | "denied") => void;
}) {
  const params = { path: { org: "-", user_code: code } };
  const approve = useSave(
    () => good(api.POST("/v1/orgs/{org}/device-authorizations/{user_code}/approvals", { params, body: {} })),
    null,
    () => decided("approved"),
  );
  const deny = useSave(
    () => good(api.POST("/v1/orgs/{org}/device-authorizations/{user_code}/denials", { params, body: {} })),
    null,
    () => decided("denied"),
  );
  const busy = approve.busy || deny.busy;
  return (
    <Card>
      <Form problem={approve.problem ?? deny.problem} pointers={[]} onSubmit={() => void approve.run()}>
        <Callout
          tone="warn"
          title={
            <span className="flex items-center gap-2">
              <TriangleAlert aria-hidden className="size-4" /> Only if you started it just now
            </span>
          }
        >
          Whoever asked may call themselves anything. If somebody sent you this code, do not let it in.
        </Callout>
        <Facts
          items={[
            ["It calls itself", asked.client],
            ["It asked from", asked.address ?? "an unknown address"],
            ["It will act as", email],
            ["It may", asked.scopes ? asked.scopes.join(", ") : "everything that you may"],
            ["Decide", <Until key="until" at={asked.expires_at} />],
          ]}
        />
        <div className="flex justify-end gap-2">
          <Guarded permission="account:manage" disabled={busy} onClick={() => void deny.run()}>
            Do not let it in
          </Guarded>
          <Guarded permission="account:manage" kind="primary" type="submit" disabled={busy}>
            Let it in
          </Guarded>
        </div>
      </Form>
    </Card>
  );
}
