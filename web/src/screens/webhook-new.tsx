import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { good } from "../api/problem";
import { ORG } from "../api/queries";
import { useSave } from "../api/save";
import { type Topic, topics } from "../api/webhooks";
import { Button } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { Check, Form, Text } from "../ui/form";
import { SecretOnce } from "../ui/secret";
import { ShowAs } from "../ui/show-as";

export function WebhookNew({ close }: { close: () => void }) {
  const [name, setName] = useState("");
  const [url, setUrl] = useState("");
  const [wanted, setWanted] = useState<Topic[]>(["revision"]);
  const [secret, setSecret] = useState<string | null>(null);
  const body: Schemas["CreateWebhook"] = { name: name.trim(), url: url.trim(), topics: wanted };
  const save = useSave(
    () => good(api.POST("/v1/orgs/{org}/webhooks", { params: { path: { org: ORG } }, body })),
    null,
    (made) => setSecret(made.secret ?? ""),
  );
  if (secret !== null)
    return (
      <Dialog title={`The webhook ${name}`} close={close}>
        <SecretOnce
          what="secret"
          secret={secret}
          about="Messages are signed with it: whoever takes them verifies that with any library of Standard Webhooks."
          done={close}
        />
      </Dialog>
    );
  return (
    <Dialog title="New webhook" close={close}>
      <Form problem={save.problem} pointers={["/name", "/url", "/topics"]} onSubmit={() => void save.run()}>
        <Text
          label="Name"
          pointer="/name"
          mono
          autoFocus
          value={name}
          onChange={setName}
          placeholder="deployments"
        />
        <Text
          label="Where messages are sent"
          pointer="/url"
          mono
          value={url}
          onChange={setUrl}
          placeholder="https://hooks.example.com/heddle"
          hint="Over TLS, to an address of the public internet."
        />
        <Topics wanted={wanted} set={setWanted} />
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button
            type="submit"
            kind="primary"
            disabled={save.busy || body.name === "" || body.url === "" || wanted.length === 0}
          >
            Create webhook
          </Button>
        </div>
        <ShowAs request={{ method: "POST", path: "/v1/orgs/-/webhooks", body }} />
      </Form>
    </Dialog>
  );
}

export function Topics({ wanted, set }: { wanted: Topic[]; set: (next: Topic[]) => void }) {
  return (
    <fieldset className="space-y-2">
      <legend className="mb-1 font-medium">What it is told</legend>
      {topics.map(([topic, about]) => (
        <Check
          key={topic}
          label={about}
          checked={wanted.includes(topic)}
          onChange={(on) => set(on ? [...wanted, topic] : wanted.filter((one) => one !== topic))}
        />
      ))}
    </fieldset>
  );
}
