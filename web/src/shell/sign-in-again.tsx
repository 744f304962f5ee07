// Asks a member for the password before what cannot be taken back. A new session takes the old one's place, which ends.
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { again, useAskedAgain } from "../api/again";
import { api } from "../api/client";
import { good, Problem } from "../api/problem";
import { whoamiQuery } from "../api/queries";
import { useSave } from "../api/save";
import { session } from "../api/session";
import { signInBy } from "../api/sso";
import { Button } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { Form, Text } from "../ui/form";
import { SecondStep, type SignedIn } from "./second-step";
import { SsoButtons } from "./sso-buttons";

export function SignInAgain() {
  return useAskedAgain() ? <Ask /> : null;
}

function Ask() {
  const { data: who } = useQuery(whoamiQuery());
  const [challenge, setChallenge] = useState<string | null>(null);
  const org = who?.org.name ?? "";
  const begin = async (answer: SignedIn) => {
    const before = session.uid();
    session.begin(answer);
    if (before !== null) await end(before);
    again.settle(true);
  };
  return (
    <Dialog title="Confirm that it is you" close={() => again.settle(false)}>
      {challenge === null ? (
        <AskPassword org={org} email={who?.principal?.email ?? ""} begin={begin} challenged={setChallenge} />
      ) : (
        <SecondStep
          challenge={{ org, secret: challenge }}
          begin={(answer) => void begin(answer)}
          restart={() => setChallenge(null)}
        />
      )}
    </Dialog>
  );
}

function AskPassword({
  org,
  email,
  begin,
  challenged,
}: {
  org: string;
  email: string;
  begin: (answer: SignedIn) => Promise<void>;
  challenged: (challenge: string) => void;
}) {
  const [password, setPassword] = useState("");
  const save = useSave(
    async () => begin(await good(api.POST("/v1/sessions", { body: { org, email, password } }))),
    null,
  );
  const secret = save.problem?.challenge;
  useEffect(() => {
    if (secret !== undefined) challenged(secret);
  }, [secret, challenged]);
  const wrong =
    save.problem?.status === 401
      ? new Problem(422, { title: "That is not your password", detail: "Nothing was done yet." })
      : save.problem;
  return (
    <div className="space-y-4">
      <Form problem={wrong} pointers={[]} onSubmit={() => void save.run()}>
        <p>
          What you are about to do cannot be taken back, or hands on rights, and you signed in more than five
          minutes ago. Enter the password of <strong>{email}</strong> to go on.
        </p>
        <Text
          label="Your password"
          type="password"
          autoComplete="current-password"
          autoFocus
          value={password}
          onChange={setPassword}
        />
        <div className="flex justify-end gap-2">
          <Button onClick={() => again.settle(false)}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={save.busy || password === "" || email === ""}>
            Go on
          </Button>
        </div>
      </Form>
      {/* The provider is asked to ask; what was under way is begun again afterwards. */}
      <SsoButtons
        org={org}
        go={(connection) =>
          signInBy(
            { org, connection, reauthenticate: true, ...(email === "" ? {} : { login_hint: email }) },
            { next: location.pathname.replace(/^\/console/, "") + location.search },
          )
        }
      />
    </div>
  );
}

/** What was there before is of no use any more; when it cannot be ended now, it ends by itself. */
async function end(before: string) {
  await api
    .DELETE("/v1/orgs/{org}/sessions/{session}", { params: { path: { org: "-", session: before } } })
    .catch(() => undefined);
}
