// Becoming a member with a link that came by mail.
import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { useLink } from "../api/link";
import { invitationQuery, type Role, roles } from "../api/people";
import { asProblem, good } from "../api/problem";
import { useSave } from "../api/save";
import { session } from "../api/session";
import { signInBy } from "../api/sso";
import { inText, Outside } from "../shell/outside";
import { SsoButtons } from "../shell/sso-buttons";
import { Button, Facts, linkButton } from "../ui/basics";
import { Form, Text } from "../ui/form";
import { Failed, Loading } from "../ui/states";
import { Until } from "../ui/time";
import { ORG } from "./sign-in";

export function Invitation() {
  const { org } = useSearch({ from: "/invitation" });
  const { secret, number } = useLink();
  return <OfLink key={number} org={org} secret={secret} />;
}

function OfLink({ org, secret }: { org: string | undefined; secret: string }) {
  const whole = org !== undefined && secret !== "";
  const query = useQuery({ ...invitationQuery(org ?? "", secret), enabled: whole });
  const [done, setDone] = useState(false);
  const [gone, setGone] = useState(false);
  const problem = query.isError ? asProblem(query.error) : null;
  const title = <title>Invitation · Heddle</title>;
  // An invitation ends when there is a member: whoever is one goes on here.
  const below = (
    <>
      Are you a member already?{" "}
      <Link to="/sign-in" className={inText}>
        Sign in
      </Link>
    </>
  );
  if (done)
    return (
      <Outside title={`Welcome to ${org}`}>
        {title}
        <div role="status" className="space-y-4">
          <p>You are a member now. Sign in with your e-mail address and the password that you chose.</p>
          <Link to="/sign-in" className={`${linkButton("primary")} w-full`}>
            Sign in
          </Link>
        </div>
      </Outside>
    );
  if (!whole || gone || problem?.code === "HED-2080")
    return (
      <Outside title="This invitation cannot be used" below={below}>
        {title}
        <p role="alert">
          It was accepted or withdrawn, has expired, was sent again since, or is not all of it. Open the link
          from the newest mail, or ask whoever invited you to send it again.
        </p>
      </Outside>
    );
  return (
    <Outside title={`Join ${org} on Heddle`} below={below}>
      {title}
      {query.data ? (
        <Accept
          secret={secret}
          invitation={query.data}
          done={() => setDone(true)}
          gone={() => setGone(true)}
        />
      ) : problem ? (
        <Failed problem={problem} what="invitation" retry={() => void query.refetch()} />
      ) : (
        <Loading what="invitation" rows={3} />
      )}
    </Outside>
  );
}

function Accept({
  secret,
  invitation,
  done,
  gone,
}: {
  secret: string;
  invitation: Schemas["InvitationLookup"];
  done: () => void;
  gone: () => void;
}) {
  const { org, email, role } = invitation;
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const save = useSave(
    async () => {
      const display = name.trim() ? { display_name: name.trim() } : {};
      const body = { org, secret, email, password, ...display };
      try {
        return await good(api.POST("/v1/invitations/acceptances", { body }));
      } catch (error) {
        // Somebody was faster, or took it back.
        if (asProblem(error).code === "HED-2080") gone();
        throw error;
      }
    },
    null,
    () => {
      localStorage.setItem(ORG, org);
      // Whoever is signed in here is somebody else: a member of one organisation.
      session.end();
      done();
    },
  );
  return (
    <div className="space-y-4">
      <Form problem={save.problem} pointers={["/display_name", "/password"]} onSubmit={() => void save.run()}>
        <Facts
          items={[
            [
              "Address",
              <span key="email" className="break-all">
                {email}
              </span>,
            ],
            ["Your role", `${role}: ${roles[role as Role]}`],
            ["Expires", <Until key="until" at={invitation.expires_at} />],
          ]}
        />
        {/* For password managers: what this password is for. */}
        <input type="hidden" name="username" autoComplete="username" value={email} readOnly />
        <Text
          label="Name"
          pointer="/display_name"
          autoComplete="name"
          autoFocus
          value={name}
          onChange={setName}
          hint="What others call you. Optional."
        />
        <Text
          label="Password"
          pointer="/password"
          type="password"
          autoComplete="new-password"
          value={password}
          onChange={setPassword}
          hint="12 characters or more. It is for this organisation alone."
        />
        <Button type="submit" kind="primary" className="w-full" disabled={save.busy || password === ""}>
          {save.busy ? "Joining…" : "Join"}
        </Button>
      </Form>
      <SsoButtons
        org={org}
        verb="Join"
        go={async (connection) => {
          localStorage.setItem(ORG, org);
          session.end();
          await signInBy({ org, connection, login_hint: email }, { invitation: secret });
        }}
      />
    </div>
  );
}
