import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api } from "../api/client";
import { good, type Problem } from "../api/problem";
import { queryClient } from "../api/queries";
import { useSave } from "../api/save";
import { session } from "../api/session";
import { signInBy } from "../api/sso";
import { inText, Outside } from "../shell/outside";
import { SecondStep, type SignedIn } from "../shell/second-step";
import { SsoButtons } from "../shell/sso-buttons";
import { Button } from "../ui/basics";
import { Form, Text } from "../ui/form";

/** Where the browser keeps the organisation that was signed in to last. */
export const ORG = "heddle.org";

/** Only an address of this console: a path that begins with exactly one slash. */
export function safeNext(next: unknown): string {
  return typeof next === "string" && /^\/(?![/\\])[^\\\p{Cc}]*$/u.test(next) ? next : "/";
}

export function SignIn() {
  const { next, by } = useSearch({ from: "/sign-in" });
  const navigate = useNavigate();
  const enter = () => {
    queryClient.clear();
    void navigate({ href: safeNext(next) });
  };
  const [ended] = useState(session.ended);
  return (
    <Outside
      title="Sign in to Heddle"
      notice={
        ended && (
          <p role="status" className="mb-4 rounded-lg bg-warn-soft px-4 py-3">
            You were signed out: the session or token has expired or was ended elsewhere.
          </p>
        )
      }
      below={
        <Link
          to="/sign-in"
          search={{ ...(next ? { next } : {}), ...(by === "token" ? {} : { by: "token" as const }) }}
          replace
          className={inText}
        >
          {by === "token" ? "Sign in with a password" : "Sign in with an API token"}
        </Link>
      }
    >
      <title>Sign in · Heddle</title>
      {by === "token" ? <ByToken enter={enter} /> : <ByPassword enter={enter} next={next} />}
    </Outside>
  );
}

function ByPassword({ enter, next }: { enter: () => void; next: string | undefined }) {
  const [challenge, setChallenge] = useState<{ org: string; secret: string } | null>(null);
  const begin = (answer: SignedIn) => {
    session.begin(answer);
    enter();
  };
  if (challenge === null) return <FirstStep begin={begin} challenged={setChallenge} next={next} />;
  return <SecondStep challenge={challenge} begin={begin} restart={() => setChallenge(null)} />;
}

function FirstStep({
  begin,
  challenged,
  next,
}: {
  begin: (answer: SignedIn) => void;
  challenged: (challenge: { org: string; secret: string }) => void;
  next: string | undefined;
}) {
  const [org, setOrg] = useState(() => localStorage.getItem(ORG) ?? "");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const body = { org: org.trim(), email: email.trim(), password };
  const save = useSave(() => good(api.POST("/v1/sessions", { body })), null, begin);
  const submit = async () => {
    // Kept also when it was wrong: most often the password is.
    localStorage.setItem(ORG, body.org);
    await save.run();
  };
  const settled = useDeferredText(body.org);
  const secret = save.problem?.challenge;
  useEffect(() => {
    if (secret !== undefined) challenged({ org: body.org, secret });
  }, [secret, body.org, challenged]);
  const ready = body.org !== "" && body.email !== "" && password !== "";
  return (
    <div className="space-y-4">
      <Form problem={unless401(save.problem)} pointers={[]} onSubmit={() => void submit()}>
        {save.problem?.status === 401 && secret === undefined && (
          <Wrong title="That did not work">
            The organisation, the e-mail address or the password is wrong. Which one is not said.
          </Wrong>
        )}
        <Text
          label="Organisation"
          autoComplete="organization"
          autoFocus={org === ""}
          value={org}
          onChange={setOrg}
          placeholder="acme"
        />
        <Text
          label="E-mail address"
          type="email"
          autoComplete="username"
          autoFocus={org !== ""}
          value={email}
          onChange={setEmail}
          placeholder="ada@example.com"
        />
        <Text
          label="Password"
          type="password"
          autoComplete="current-password"
          value={password}
          onChange={setPassword}
        />
        <p className="-mt-3 text-right">
          <Link to="/forgot-password" className={inText}>
            Forgot password?
          </Link>
        </p>
        <Submit busy={save.busy} disabled={!ready} />
      </Form>
      {/* By the organisation that was typed, once nothing was for a moment. */}
      <SsoButtons
        org={settled}
        go={(connection) => {
          localStorage.setItem(ORG, body.org);
          const hint = body.email === "" ? {} : { login_hint: body.email };
          return signInBy({ org: body.org, connection, ...hint }, next === undefined ? {} : { next });
        }}
      />
    </div>
  );
}

function ByToken({ enter }: { enter: () => void }) {
  const [token, setToken] = useState("");
  const save = useSave(
    () => good(api.GET("/v1/whoami", { headers: { authorization: `Bearer ${token.trim()}` } })),
    null,
    () => {
      session.beginWithToken(token.trim());
      enter();
    },
  );
  return (
    <Form problem={unless401(save.problem)} pointers={[]} onSubmit={() => void save.run()}>
      {save.problem?.status === 401 && (
        <Wrong title="That token is not valid">It may be mistyped, revoked or expired.</Wrong>
      )}
      <Text
        label="API token"
        type="password"
        mono
        autoFocus
        value={token}
        onChange={setToken}
        placeholder="heddle_…"
        hint="Kept in this tab only, until you sign out or close it."
      />
      <Submit busy={save.busy} disabled={token.trim() === ""} />
    </Form>
  );
}

/** A text once it has stayed the same for a moment. */
function useDeferredText(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), 400);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

const unless401 = (problem: Problem | null) => (problem?.status === 401 ? null : problem);

function Wrong({ title, children }: { title: string; children: string }) {
  return (
    <div role="alert" className="rounded-lg bg-bad-soft px-4 py-3">
      <p className="font-semibold text-bad">{title}</p>
      <p>{children}</p>
    </div>
  );
}

function Submit({ busy, disabled }: { busy: boolean; disabled: boolean }) {
  return (
    <Button type="submit" kind="primary" className="w-full" disabled={busy || disabled}>
      {busy ? "Signing in…" : "Sign in"}
    </Button>
  );
}
