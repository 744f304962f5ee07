// For a member who has lost the second factor and all recovery codes.
import { api } from "../api/client";
import type { Member } from "../api/people";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { DeleteButton } from "../ui/delete";

export function ResetSecondFactor({ member }: { member: Member }) {
  const remove = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/members/{member}/second-factor-resets", {
          params: { path: { org: "-", member: member.meta.uid } },
          body: {},
        }),
      ),
    "Second factor removed",
  );
  return (
    <DeleteButton
      what="second factor"
      verb="Reset"
      name={`of ${member.email}`}
      permission="members:write"
      consequence="Their password alone lets them in until they set up another, and their sessions end. They are told by mail. Be sure that it is they who ask."
      request={{
        method: "POST",
        path: `/v1/orgs/-/members/${member.meta.uid}/second-factor-resets`,
        body: {},
      }}
      remove={remove}
    />
  );
}
