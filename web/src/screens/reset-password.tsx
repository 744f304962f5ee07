// Setting another password with a link that came by mail.
import { Link, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import { useLink } from "../api/link";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { session } from "../api/session";
import { inText, Outside } from "../shell/outside";
import { Button, linkButton } from "../ui/basics";
import { Form, Text } from "../ui/form";
import { ORG } from "./sign-in";

export function ResetPassword() {
  const { org } = useSearch({ from: "/reset-password" });
  const { secret, number } = useLink();
  return <OfLink key={number} org={org} secret={secret} />;
}

function OfLink({ org, secret }: { org: string | undefined; secret: string }) {
  const [password, setPassword] = useState("");
  const [done, setDone] = useState(false);
  const save = useSave(
    () => {
      const body = { org: org ?? "", secret, new_password: password };
      return good(api.POST("/v1/password-resets/completions", { body }));
    },
    null,
    () => {
      localStorage.setItem(ORG, org ?? "");
      // Every session has ended, one of this tab too.
      session.end();
      setDone(true);
    },
  );
  const another = (
    <Link to="/forgot-password" className={inText}>
      Get another link
    </Link>
  );
  const signIn = (
    <Link to="/sign-in" className={inText}>
      Back to the sign-in
    </Link>
  );
  const unusable = org === undefined || secret === "" || save.problem?.code === "HED-2080";
  return (
    <Outside
      title={done ? "Your password is set" : unusable ? "This link cannot be used" : "Set another password"}
      below={done ? undefined : unusable ? signIn : another}
    >
      <title>Set another password · Heddle</title>
      {done ? (
        <div role="status" className="space-y-4">
          <p>Everywhere where you were signed in, you are signed out.</p>
          <Link to="/sign-in" className={`${linkButton("primary")} w-full`}>
            Sign in
          </Link>
        </div>
      ) : unusable ? (
        <div role="alert" className="space-y-4">
          <p>
            It was used, is older than an hour, or is not all of it. Open it from the mail once more, or get
            another one.
          </p>
          <Link to="/forgot-password" className={`${linkButton("primary")} w-full`}>
            Get another link
          </Link>
        </div>
      ) : (
        <Form problem={save.problem} pointers={["/new_password"]} onSubmit={() => void save.run()}>
          <p className="text-muted">
            For the organisation <strong className="break-all text-ink">{org}</strong>.
          </p>
          <Text
            label="New password"
            pointer="/new_password"
            type="password"
            autoComplete="new-password"
            autoFocus
            value={password}
            onChange={setPassword}
            hint="12 characters or more."
          />
          <Button type="submit" kind="primary" className="w-full" disabled={save.busy || password === ""}>
            {save.busy ? "Setting…" : "Set password"}
          </Button>
        </Form>
      )}
    </Outside>
  );
}
