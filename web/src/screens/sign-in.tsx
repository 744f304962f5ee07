import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { queryClient } from "../api/queries";
import { useSave } from "../api/save";
import { session } from "../api/session";
import { Mark } from "../shell/mark";
import { Button } from "../ui/basics";
import { Form, Text } from "../ui/form";

/** Only an address of this console: a path that begins with exactly one slash. */
export function safeNext(next: unknown): string {
  return typeof next === "string" && /^\/(?![/\\])[^\\\p{Cc}]*$/u.test(next) ? next : "/";
}

export function SignIn() {
  const [token, setToken] = useState("");
  const { next } = useSearch({ strict: false });
  const navigate = useNavigate();
  const save = useSave(
    () => good(api.GET("/v1/whoami", { headers: { authorization: `Bearer ${token.trim()}` } })),
    null,
    () => {
      queryClient.clear();
      session.begin(token.trim());
      void navigate({ href: safeNext(next) });
    },
  );
  const problem = save.problem;
  return (
    <main className="flex min-h-screen items-center justify-center p-6">
      <div className="w-full max-w-[25rem]">
        <div className="mb-7 flex flex-col items-center gap-4">
          <Mark className="size-11" />
          <h1>Sign in to Heddle</h1>
        </div>
        <div className="rounded-2xl border border-line bg-surface p-6 shadow-card">
          <Form
            problem={problem?.status === 401 ? null : problem}
            pointers={[]}
            onSubmit={() => void save.run()}
          >
            {problem?.status === 401 && (
              <div role="alert" className="rounded-lg bg-bad-soft px-4 py-3">
                <p className="font-semibold text-bad">That token is not valid</p>
                <p>It may be mistyped, revoked or expired.</p>
              </div>
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
            <Button
              type="submit"
              kind="primary"
              className="w-full"
              disabled={save.busy || token.trim() === ""}
            >
              {save.busy ? "Signing in…" : "Sign in"}
            </Button>
          </Form>
        </div>
        <p className="mt-5 text-center text-muted">
          The demo prints its token when it starts. Elsewhere, <code>heddled admin token create</code> makes
          one.
        </p>
      </div>
    </main>
  );
}
