// One's own accounts at identity providers: what one signs in with beside the password.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { ORG } from "../api/queries";
import { useSave } from "../api/save";
import { type Identity, identitiesQuery, linkBy, optionsQuery } from "../api/sso";
import { SsoButtons } from "../shell/sso-buttons";
import { Button, Card, CardTitle } from "../ui/basics";
import { DeleteButton } from "../ui/delete";
import { Dialog } from "../ui/dialog";
import { Loaded } from "../ui/states";
import { Ago } from "../ui/time";

export function LinkedAccounts({ org, member }: { org: string; member: string }) {
  const query = useQuery(identitiesQuery(member));
  const options = useQuery(optionsQuery(org));
  const [linking, setLinking] = useState(false);
  // Where there is no provider there is nothing to say.
  if (options.data === undefined || options.data.items.length === 0) return null;
  return (
    <Card>
      <CardTitle aside={<Button onClick={() => setLinking(true)}>Link an account</Button>}>
        Accounts that you sign in with
      </CardTitle>
      <Loaded query={query} what="linked accounts" rows={1}>
        {(list) =>
          list.length === 0 ? (
            <p>None yet. Link the one that you have at your organisation's provider.</p>
          ) : (
            <ul className="divide-y divide-line">
              {list.map((one) => (
                <Linked key={one.meta.uid} identity={one} />
              ))}
            </ul>
          )
        }
      </Loaded>
      {linking && (
        <Dialog title="Link an account" close={() => setLinking(false)}>
          <div className="space-y-3">
            <p>You go to the provider, sign in there, and come back.</p>
            <SsoButtons org={org} go={linkBy} verb="Link" />
          </div>
        </Dialog>
      )}
    </Card>
  );
}

function Linked({ identity }: { identity: Identity }) {
  const path = { org: ORG, identity: identity.meta.uid };
  const remove = useSave(
    () => good(api.DELETE("/v1/orgs/{org}/identities/{identity}", { params: { path } })),
    "The account is not linked any more",
  );
  const called = identity.provider_email ?? identity.subject;
  return (
    <li className="flex items-center justify-between gap-4 py-2">
      <span>
        <span className="font-medium">{called}</span>{" "}
        <span className="text-muted">
          at {identity.connection.name}, used <Ago at={identity.last_used_at} />
        </span>
      </span>
      <DeleteButton
        permission="account:manage"
        what="account"
        name={called}
        verb="Unlink"
        consequence="You do not sign in with it any more, until you link it again; other sessions that began with it end."
        request={{ method: "DELETE", path: `/v1/orgs/-/identities/${identity.meta.uid}` }}
        remove={remove}
      />
    </li>
  );
}
