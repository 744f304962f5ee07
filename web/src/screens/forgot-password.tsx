// Asking for another password. The answer is the same whether there is such a member or not, and so is this page.
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { inText, Outside } from "../shell/outside";
import { Button } from "../ui/basics";
import { Form, Text } from "../ui/form";
import { ORG } from "./sign-in";

export function ForgotPassword() {
  const [org, setOrg] = useState(() => localStorage.getItem(ORG) ?? "");
  const [email, setEmail] = useState("");
  const [asked, setAsked] = useState(false);
  const body = { org: org.trim(), email: email.trim() };
  const save = useSave(
    () => good(api.POST("/v1/password-resets", { body })),
    null,
    () => setAsked(true),
  );
  return (
    <Outside
      title={asked ? "Look into your mail" : "Forgot your password?"}
      below={
        <Link to="/sign-in" className={inText}>
          Back to the sign-in
        </Link>
      }
    >
      <title>Forgot password · Heddle</title>
      {asked ? (
        <div role="status" className="space-y-3">
          <p>
            If <strong className="break-all">{body.email}</strong> is a member of{" "}
            <strong className="break-all">{body.org}</strong>, there will be a mail within a minute or two.
            The link in it works once, for an hour.
          </p>
          <p className="text-muted">
            Nothing there? Look whether the address and the organisation are right, and into your spam. An
            owner or admin of your organisation can give you a new password, too.
          </p>
          <Button className="w-full" onClick={() => setAsked(false)}>
            Ask again
          </Button>
        </div>
      ) : (
        <Form problem={save.problem} pointers={["/org", "/email"]} onSubmit={() => void save.run()}>
          <p className="text-muted">You get a link by mail, with which you set another one.</p>
          <Text
            label="Organisation"
            pointer="/org"
            autoComplete="organization"
            autoFocus={org === ""}
            value={org}
            onChange={setOrg}
            placeholder="acme"
          />
          <Text
            label="E-mail address"
            pointer="/email"
            type="email"
            autoComplete="username"
            autoFocus={org !== ""}
            value={email}
            onChange={setEmail}
            placeholder="ada@example.com"
          />
          <Button
            type="submit"
            kind="primary"
            className="w-full"
            disabled={save.busy || body.org === "" || body.email === ""}
          >
            {save.busy ? "Sending…" : "Send the link"}
          </Button>
        </Form>
      )}
    </Outside>
  );
}
