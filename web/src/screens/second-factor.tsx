// One's own second factor: whether there is one, other recovery codes for it, and its end.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { secondFactorQuery } from "../api/people";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { Guarded } from "../ui/access";
import { Badge, Button, Card, CardTitle } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { Form, Text } from "../ui/form";
import { Loaded } from "../ui/states";
import { Ago } from "../ui/time";
import { EnrolSecondFactor } from "./enrol-second-factor";
import { RecoveryCodes } from "./recovery-codes";

type Doing = "enrol" | "codes" | "remove" | null;

export function SecondFactor() {
  const query = useQuery(secondFactorQuery());
  const [doing, setDoing] = useState<Doing>(null);
  const close = () => setDoing(null);
  const button = (what: Doing, text: string, kind?: "primary") => (
    <Guarded permission="account:manage" kind={kind} onClick={() => setDoing(what)}>
      {text}
    </Guarded>
  );
  return (
    <Card>
      <CardTitle>Second factor</CardTitle>
      <Loaded query={query} what="your second factor" rows={2}>
        {(factor) =>
          factor.enrolled ? (
            <div className="space-y-4">
              <p>
                <Badge tone="ok">On</Badge> A code of your authenticator is asked for at each sign-in, since{" "}
                {factor.confirmed_at && <Ago at={factor.confirmed_at} />}. {left(factor.recovery_codes_left)}
              </p>
              <div className="flex gap-2">
                {button("codes", "Other recovery codes")}
                {button("remove", "Remove")}
              </div>
            </div>
          ) : (
            <div className="space-y-4">
              <p>
                <Badge tone="neutral">Off</Badge> Whoever knows your password can sign in as you.
              </p>
              {button("enrol", "Set up a second factor", "primary")}
            </div>
          )
        }
      </Loaded>
      {doing === "enrol" && (
        <Dialog title="Set up a second factor" close={close}>
          <EnrolSecondFactor done={close} />
        </Dialog>
      )}
      {doing === "codes" && <OtherCodes close={close} />}
      {doing === "remove" && <Remove required={query.data?.required === true} close={close} />}
    </Card>
  );
}

const left = (count: number) =>
  count === 0
    ? "No recovery code is left: get others."
    : `${count} recovery ${count === 1 ? "code is" : "codes are"} left.`;

function CodeField({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <Text
      label="Code"
      pointer="/code"
      autoComplete="one-time-code"
      mono
      autoFocus
      value={value}
      onChange={onChange}
      placeholder="123456"
      hint="Six digits from your authenticator, or a recovery code."
    />
  );
}

function OtherCodes({ close }: { close: () => void }) {
  const [code, setCode] = useState("");
  const [codes, setCodes] = useState<string[] | null>(null);
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/second-factor/recovery-codes", {
          params: { path: { org: "-" } },
          body: { code: code.trim() },
        }),
      ),
    null,
    (answer) => setCodes(answer.recovery_codes ?? []),
  );
  return (
    <Dialog title="Other recovery codes" close={close}>
      {codes !== null ? (
        <RecoveryCodes codes={codes} done={close} />
      ) : (
        <Form problem={save.problem} pointers={["/code"]} onSubmit={() => void save.run()}>
          <p>You get ten others. Those that you have stop working.</p>
          <CodeField value={code} onChange={setCode} />
          <div className="flex justify-end gap-2">
            <Button onClick={close}>Cancel</Button>
            <Button type="submit" kind="primary" disabled={save.busy || code.trim() === ""}>
              Get others
            </Button>
          </div>
        </Form>
      )}
    </Dialog>
  );
}

function Remove({ required, close }: { required: boolean; close: () => void }) {
  const [code, setCode] = useState("");
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/second-factor/removals", {
          params: { path: { org: "-" } },
          body: { code: code.trim() },
        }),
      ),
    "Second factor removed",
    close,
  );
  return (
    <Dialog title="Remove your second factor" close={close}>
      <Form problem={save.problem} pointers={["/code"]} onSubmit={() => void save.run()}>
        <p>
          {required
            ? "Your organisation asks for one: right afterwards you have to set up another."
            : "From then on your password alone lets you in, and whoever else knows it."}
        </p>
        <CodeField value={code} onChange={setCode} />
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Keep it</Button>
          <Button type="submit" kind="danger" disabled={save.busy || code.trim() === ""}>
            Remove
          </Button>
        </div>
      </Form>
    </Dialog>
  );
}
