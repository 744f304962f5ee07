// The second step of signing in: a code, after the password was right.
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { good, Problem } from "../api/problem";
import { useSave } from "../api/save";
import { Button } from "../ui/basics";
import { Form, Text } from "../ui/form";

export type SignedIn = Schemas["SignedIn"];

/** The password has to be shown again. */
const FROM_THE_START = "HED-2091";

export function SecondStep({
  challenge,
  begin,
  restart,
}: {
  challenge: { org: string; secret: string };
  begin: (answer: SignedIn) => void;
  restart: () => void;
}) {
  const [code, setCode] = useState("");
  const body = { org: challenge.org, challenge: challenge.secret, code: code.trim() };
  const save = useSave(() => good(api.POST("/v1/sessions/second-factors", { body })), null, begin);
  const over = save.problem?.code === FROM_THE_START;
  return (
    <Form problem={inWords(save.problem)} pointers={[]} onSubmit={() => void save.run()}>
      <Text
        label="Code"
        autoComplete="one-time-code"
        mono
        autoFocus
        value={code}
        onChange={setCode}
        placeholder="123456"
        hint="Six digits from your authenticator, or one of your recovery codes."
        disabled={over}
      />
      <div className="flex justify-end gap-2">
        <Button onClick={restart}>Start again</Button>
        <Button type="submit" kind="primary" disabled={save.busy || over || body.code === ""}>
          {save.busy ? "Signing in…" : "Go on"}
        </Button>
      </div>
    </Form>
  );
}

function inWords(problem: Problem | null): Problem | null {
  if (problem?.status !== 401) return problem;
  return problem.code === FROM_THE_START
    ? new Problem(401, {
        title: "That took too long, or too many tries",
        detail: "Start again with your password.",
      })
    : new Problem(401, {
        title: "That is not the code",
        detail: "It may be mistyped or used already. Wait for the next one, or take a recovery code.",
      });
}
