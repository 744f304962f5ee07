// Setting up a second factor: the key into an authenticator, a code out of it, and recovery codes to keep.
import { useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { Button } from "../ui/basics";
import { Snippet } from "../ui/copy";
import { Form, Text } from "../ui/form";
import { Qr } from "../ui/qr";
import { RecoveryCodes } from "./recovery-codes";

const path = { org: "-" };

export function EnrolSecondFactor({ confirmed, done }: { confirmed?: () => void; done: () => void }) {
  const [key, setKey] = useState<{ secret: string; uri: string } | null>(null);
  const [codes, setCodes] = useState<string[] | null>(null);
  const begin = useSave(
    () => good(api.POST("/v1/orgs/{org}/second-factor/enrolments", { params: { path }, body: {} })),
    null,
    (drawn) => setKey({ secret: drawn.secret ?? "", uri: drawn.otpauth_uri ?? "" }),
  );
  if (codes !== null) return <RecoveryCodes codes={codes} done={done} />;
  if (key !== null)
    return (
      <Confirm
        drawn={key}
        confirmed={(codes) => {
          setCodes(codes);
          confirmed?.();
        }}
      />
    );
  return (
    <Form problem={begin.problem} pointers={[]} onSubmit={() => void begin.run()}>
      <p>
        You need an authenticator: an app on your telephone, or a password manager, that makes a code of six
        digits every half minute. From then on you are asked for one each time that you sign in.
      </p>
      <div className="flex justify-end">
        <Button type="submit" kind="primary" disabled={begin.busy}>
          Set it up
        </Button>
      </div>
    </Form>
  );
}

function Confirm({
  drawn,
  confirmed,
}: {
  drawn: { secret: string; uri: string };
  confirmed: (codes: string[]) => void;
}) {
  const [code, setCode] = useState("");
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/second-factor/confirmations", {
          params: { path },
          body: { code: code.trim() },
        }),
      ),
    null,
    (answer) => confirmed(answer.recovery_codes ?? []),
  );
  return (
    <Form problem={save.problem} pointers={["/code"]} onSubmit={() => void save.run()}>
      <p>Scan this with your authenticator, or type the key into it.</p>
      <Qr text={drawn.uri} label="The key as a QR code" />
      <Snippet label="key" text={drawn.secret.replace(/(.{4})(?=.)/g, "$1 ")} />
      <Text
        label="Code"
        pointer="/code"
        autoComplete="one-time-code"
        mono
        autoFocus
        value={code}
        onChange={setCode}
        placeholder="123456"
        hint="What the authenticator shows now."
      />
      <div className="flex justify-end">
        <Button type="submit" kind="primary" disabled={save.busy || code.trim() === ""}>
          Confirm
        </Button>
      </div>
    </Form>
  );
}
