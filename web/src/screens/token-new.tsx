import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { accountsQuery } from "../api/people";
import { good } from "../api/problem";
import { meshesQuery, whoamiQuery } from "../api/queries";
import { useSave } from "../api/save";
import { useMay } from "../ui/access";
import { Button } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { Form, Select, Text } from "../ui/form";
import { SecretOnce } from "../ui/secret";
import { ShowAs } from "../ui/show-as";

const lifetimes: [string, string][] = [
  ["168h", "in 7 days"],
  ["720h", "in 30 days"],
  ["2160h", "in 90 days"],
  ["8784h", "in 366 days"],
];

export function TokenNew({ close }: { close: () => void }) {
  const { data: who } = useQuery(whoamiQuery());
  const others = useMay("tokens:write");
  const accounts = useQuery({ ...accountsQuery(), enabled: others }).data ?? [];
  const meshes = useQuery(meshesQuery()).data ?? [];
  const self = who?.principal != null;
  const [name, setName] = useState("");
  const [account, setAccount] = useState("");
  const [lifetime, setLifetime] = useState("2160h");
  const [scopes, setScopes] = useState<string[] | null>(null);
  const [mesh, setMesh] = useState("");
  const [secret, setSecret] = useState<string | null>(null);
  const body: Schemas["CreateApiToken"] = {
    name,
    ...(account ? { service_account: account } : {}),
    ...(scopes ? { scopes } : {}),
    ...(mesh ? { meshes: [mesh] } : {}),
    ...(lifetime === "never" ? { never_expires: true } : { expires_in: lifetime }),
  };
  const save = useSave(
    () => good(api.POST("/v1/orgs/{org}/tokens", { params: { path: { org: "-" } }, body })),
    null,
    (made) => setSecret(made.secret ?? ""),
  );
  if (secret !== null)
    return (
      <Dialog title={`The token ${name}`} close={close}>
        <SecretOnce
          what="secret"
          secret={secret}
          about="Programs send it as a bearer token; the command line and Terraform read it from HEDDLE_TOKEN."
          done={close}
        />
      </Dialog>
    );
  const permissions = who?.permissions ?? [];
  return (
    <Dialog title="New API token" close={close}>
      <Form
        problem={save.problem}
        pointers={["/name", "/service_account", "/scopes", "/meshes", "/expires_in", "/never_expires"]}
        onSubmit={() => void save.run()}
      >
        <Text
          label="Name"
          pointer="/name"
          value={name}
          onChange={setName}
          mono
          autoFocus
          placeholder="laptop"
        />
        <div className="grid grid-cols-2 gap-4">
          <Select
            label="For"
            pointer="/service_account"
            value={account}
            onChange={setAccount}
            options={[
              ["", self ? "Myself" : "Choose…"],
              ...accounts.map((one): [string, string] => [one.name, one.name]),
            ]}
          />
          <Select
            label="Expires"
            pointer="/expires_in"
            value={lifetime}
            onChange={setLifetime}
            options={account ? [...lifetimes, ["never", "never"]] : lifetimes}
          />
        </div>
        <div className="grid grid-cols-2 gap-4">
          <Select
            label="May"
            pointer="/scopes"
            value={scopes ? "some" : "all"}
            onChange={(next) => setScopes(next === "all" ? null : [])}
            options={[
              ["all", "What its owner may"],
              ["some", "Only these…"],
            ]}
          />
          <Select
            label="At"
            pointer="/meshes"
            value={mesh}
            onChange={setMesh}
            options={[
              ["", "Everything of its owner's"],
              ...meshes.map((one): [string, string] => [one.name, `The mesh ${one.name}`]),
            ]}
          />
        </div>
        {scopes && (
          <fieldset className="max-h-52 overflow-y-auto rounded-lg border border-line p-3">
            <legend className="px-1 text-muted">Permissions</legend>
            <div className="grid grid-cols-2 gap-x-4 gap-y-1.5">
              {permissions.map((permission) => (
                <label key={permission} className="flex items-center gap-2">
                  <input
                    type="checkbox"
                    className="size-4 accent-accent"
                    checked={scopes.includes(permission)}
                    onChange={(event) =>
                      setScopes(
                        event.target.checked
                          ? [...scopes, permission]
                          : scopes.filter((one) => one !== permission),
                      )
                    }
                  />
                  <code>{permission}</code>
                </label>
              ))}
            </div>
          </fieldset>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button
            type="submit"
            kind="primary"
            disabled={save.busy || name === "" || (!self && account === "") || scopes?.length === 0}
          >
            Make token
          </Button>
        </div>
        <ShowAs request={{ method: "POST", path: "/v1/orgs/-/tokens", body }} />
      </Form>
    </Dialog>
  );
}
