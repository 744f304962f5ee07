// One's own account: who one is here, where one is signed in, and the password.
import { useQuery } from "@tanstack/react-query";
import { MonitorSmartphone } from "lucide-react";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { good } from "../api/problem";
import { sessionsQuery, whoamiQuery } from "../api/queries";
import { useSave } from "../api/save";
import { signOut } from "../api/sign-out";
import type { Whoami } from "../api/types";
import { called } from "../shell/shell";
import { Guarded, ReadOnlyNote, useMay } from "../ui/access";
import { Badge, Button, Card, CardTitle, Facts, PageHead } from "../ui/basics";
import { DeleteButton } from "../ui/delete";
import { Form, Text } from "../ui/form";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago, Until } from "../ui/time";
import { LinkedAccounts } from "./linked-accounts";
import { SecondFactor } from "./second-factor";

export function Account() {
  const who = useQuery(whoamiQuery());
  return (
    <div className="max-w-4xl">
      <title>Your account · Heddle</title>
      <PageHead title="Your account" />
      <ReadOnlyNote permission="account:manage" />
      <Loaded query={who} what="your account">
        {(me) => (
          <div className="space-y-6">
            <Me who={me} />
            {me.principal?.kind === "member" ? (
              <>
                <Sessions member={me.principal.email ?? ""} own={me.session?.uid} />
                <SecondFactor />
                <LinkedAccounts org={me.org.name} member={me.principal.email ?? ""} />
                <Password />
              </>
            ) : (
              <Empty icon={<MonitorSmartphone />} title="A token has no sessions">
                You are signed in with an API token that belongs to no person. Sign in with an e-mail address
                and a password to see where you are signed in.
              </Empty>
            )}
          </div>
        )}
      </Loaded>
    </div>
  );
}

function Me({ who }: { who: Whoami }) {
  const meshes = Object.keys(who.meshes ?? {});
  return (
    <Card>
      <CardTitle aside={<Button onClick={() => void signOut()}>Sign out</Button>}>You</CardTitle>
      <Facts
        items={[
          ["Signed in as", who.principal?.email ?? who.principal?.name ?? called(who.actor)],
          ["With", who.session ? "a session" : "an API token"],
          ["Organisation", who.org.name],
          ["Role", who.role ?? (meshes.length > 0 ? `at ${meshes.join(", ")} only` : "none yet")],
        ]}
      />
    </Card>
  );
}

function Sessions({ member, own }: { member: string; own: string | undefined }) {
  const query = useQuery(sessionsQuery(member));
  return (
    <section>
      <CardTitle>Where you are signed in</CardTitle>
      <Loaded query={query} what="sessions" rows={3}>
        {(list) => <SessionTable sessions={list} own={own} label="Your sessions" />}
      </Loaded>
    </section>
  );
}

export function SessionTable({
  sessions,
  own,
  label,
}: {
  sessions: Schemas["Session"][];
  own: string | undefined;
  label: string;
}) {
  if (sessions.length === 0)
    return <Empty title="Signed in nowhere">There is no session that has not ended.</Empty>;
  return (
    <Table
      label={label}
      rows={sessions}
      id={(one) => one.meta.uid}
      columns={[
        {
          head: "Device",
          wide: true,
          cell: (one) => (
            <span title={one.client ?? undefined} className="flex items-center gap-3 font-medium">
              {device(one.client)}
              {one.meta.uid === own && <Badge tone="accent">This one</Badge>}
            </span>
          ),
        },
        { head: "Signed in", cell: (one) => <Ago at={one.meta.created_at} /> },
        { head: "Last renewed", cell: (one) => <Ago at={one.meta.refreshed_at} /> },
        { head: "Ends", cell: (one) => <Until at={one.expires_at} /> },
        { head: "Actions", end: true, cell: (one) => <End session={one} own={one.meta.uid === own} /> },
      ]}
    />
  );
}

function End({ session, own }: { session: Schemas["Session"]; own: boolean }) {
  const uid = session.meta.uid;
  const remove = useSave(
    () =>
      good(api.DELETE("/v1/orgs/{org}/sessions/{session}", { params: { path: { org: "-", session: uid } } })),
    "Session ended",
  );
  if (own) return null;
  return (
    <DeleteButton
      what="session"
      verb="End"
      name={`on ${device(session.client)}`}
      permission="account:manage"
      consequence="Whoever uses it is signed out with the next request."
      request={{ method: "DELETE", path: `/v1/orgs/-/sessions/${uid}` }}
      remove={remove}
    />
  );
}

/** A browser's or a program's description of itself, as people would say it. */
export function device(client: string | null | undefined): string {
  if (!client) return "Unknown device";
  const find = (names: [RegExp, string][]) => names.find(([pattern]) => pattern.test(client))?.[1];
  const browser = find([
    [/Edg\//, "Edge"],
    [/Firefox\//, "Firefox"],
    [/Chrom(e|ium)\//, "Chrome"],
    [/Safari\//, "Safari"],
  ]);
  const system = find([
    [/Android/, "Android"],
    [/iPhone|iPad/, "iOS"],
    [/Windows/, "Windows"],
    [/Mac OS X/, "macOS"],
    [/Linux/, "Linux"],
  ]);
  if (browser) return system ? `${browser} on ${system}` : browser;
  // A device says its name in words, a program its name and version first.
  return client.includes("/") ? (client.split(" ")[0] ?? client) : client;
}

function Password() {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const may = useMay("account:manage");
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/password-changes", {
          params: { path: { org: "-" } },
          body: { current_password: current, new_password: next },
        }),
      ),
    "Password changed",
    () => {
      setCurrent("");
      setNext("");
    },
  );
  return (
    <Card>
      <CardTitle>Change your password</CardTitle>
      <Form
        problem={save.problem}
        pointers={["/current_password", "/new_password"]}
        onSubmit={() => void save.run()}
      >
        <div className="grid grid-cols-2 gap-4">
          <Text
            label="Password now"
            pointer="/current_password"
            type="password"
            autoComplete="current-password"
            value={current}
            onChange={setCurrent}
            disabled={!may}
          />
          <Text
            label="New password"
            pointer="/new_password"
            type="password"
            autoComplete="new-password"
            value={next}
            onChange={setNext}
            disabled={!may}
            hint="12 to 128 characters. Your other sessions end."
          />
        </div>
        <Guarded
          permission="account:manage"
          kind="primary"
          type="submit"
          disabled={save.busy || current === "" || next === ""}
        >
          Change password
        </Guarded>
      </Form>
    </Card>
  );
}
