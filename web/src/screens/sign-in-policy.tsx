// What the organisation asks of its members when they sign in.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { signInPolicyQuery } from "../api/people";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { Guarded } from "../ui/access";
import { Badge, Button, Card, CardTitle } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { Form } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Loaded } from "../ui/states";

export function SignInPolicy() {
  const query = useQuery(signInPolicyQuery());
  const [asking, setAsking] = useState(false);
  return (
    <div className="mt-8">
      <Card>
        <CardTitle
          aside={
            <Guarded
              permission="members:write"
              disabled={query.data === undefined}
              onClick={() => setAsking(true)}
            >
              {query.data?.require_mfa ? "Do not require it" : "Require it"}
            </Guarded>
          }
        >
          Second factor for everybody
        </CardTitle>
        <Loaded query={query} what="what is asked at sign-in" rows={1}>
          {(policy) => (
            <p>
              {policy.require_mfa ? (
                <Badge tone="ok">Required</Badge>
              ) : (
                <Badge tone="neutral">Optional</Badge>
              )}{" "}
              {policy.members_without_second_factor === 0
                ? "Every member has one."
                : `${policy.members_without_second_factor} ${
                    policy.members_without_second_factor === 1 ? "member has" : "members have"
                  } none.`}
            </p>
          )}
        </Loaded>
      </Card>
      {asking && query.data && (
        <Ask
          next={!query.data.require_mfa}
          without={query.data.members_without_second_factor}
          close={() => setAsking(false)}
        />
      )}
    </div>
  );
}

function Ask({ next, without, close }: { next: boolean; without: number; close: () => void }) {
  const body = { require_mfa: next };
  const save = useSave(
    () => good(api.PATCH("/v1/orgs/{org}/sign-in-policy", { params: { path: { org: "-" } }, body })),
    next ? "A second factor is required" : "A second factor is optional",
    close,
  );
  return (
    <Dialog title={next ? "Require a second factor" : "Do not require a second factor"} close={close}>
      <Form problem={save.problem} pointers={[]} onSubmit={() => void save.run()}>
        <p>
          {next
            ? `Members without one can sign in and set one up, and do nothing else; their own API tokens stop working until then. That is ${without} now. Service accounts go on as they are.`
            : "Members may remove theirs. Whoever has one is asked for it all the same."}
        </p>
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={save.busy}>
            {next ? "Require it" : "Do not require it"}
          </Button>
        </div>
        <ShowAs request={{ method: "PATCH", path: "/v1/orgs/-/sign-in-policy", body }} />
      </Form>
    </Dialog>
  );
}
