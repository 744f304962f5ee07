// One webhook: what it was told, and what became of it.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { Inbox } from "lucide-react";
import { useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { ORG } from "../api/queries";
import { useSave } from "../api/save";
import { type Delivery, deliveriesQuery, NEWEST, type Webhook, webhookQuery } from "../api/webhooks";
import { Guarded, ReadOnlyNote } from "../ui/access";
import {
  Badge,
  Button,
  Callout,
  Card,
  CardTitle,
  CrumbArrow,
  Facts,
  PageHead,
  type Tone,
} from "../ui/basics";
import { DeleteButton } from "../ui/delete";
import { Dialog } from "../ui/dialog";
import { Form, Select, Text } from "../ui/form";
import { SecretOnce } from "../ui/secret";
import { ShowAs } from "../ui/show-as";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago, Until } from "../ui/time";
import { Topics } from "./webhook-new";
import { State } from "./webhooks";

const tone: Record<string, Tone> = { pending: "neutral", delivered: "ok", failed: "bad" };

export function WebhookDetail() {
  const { webhook } = useParams({ from: "/inside/webhooks/$webhook" });
  const query = useQuery(webhookQuery(webhook));
  const crumbs = (
    <>
      <Link to="/webhooks">Webhooks</Link>
      <CrumbArrow />
      {webhook}
    </>
  );
  return (
    <>
      <title>{`${webhook} · Webhooks · Heddle`}</title>
      <PageHead title={webhook} crumbs={crumbs} />
      <ReadOnlyNote permission="webhooks:write" />
      <Loaded query={query} what="webhook" rows={3}>
        {(one) => (
          <div className="space-y-8">
            <About webhook={one} />
            <Deliveries webhook={one} />
          </div>
        )}
      </Loaded>
    </>
  );
}

const at = (webhook: Webhook) => ({ params: { path: { org: ORG, webhook: webhook.name } } });

function About({ webhook }: { webhook: Webhook }) {
  const [open, setOpen] = useState<"edit" | "secret" | null>(null);
  const close = () => setOpen(null);
  const navigate = useNavigate();
  const remove = useSave(
    () => good(api.DELETE("/v1/orgs/{org}/webhooks/{webhook}", at(webhook))),
    `${webhook.name} is gone`,
    () => void navigate({ to: "/webhooks" }),
  );
  return (
    <Card>
      <CardTitle
        aside={
          <div className="flex flex-wrap gap-2">
            <Switch webhook={webhook} />
            <Guarded permission="webhooks:write" onClick={() => setOpen("edit")}>
              Edit
            </Guarded>
            <Guarded permission="webhooks:write" onClick={() => setOpen("secret")}>
              New secret
            </Guarded>
            <DeleteButton
              permission="webhooks:write"
              what="webhook"
              name={webhook.name}
              consequence="It is told nothing any more, and what is known of its deliveries goes with it."
              request={{ method: "DELETE", path: `/v1/orgs/-/webhooks/${webhook.name}` }}
              remove={remove}
            />
          </div>
        }
      >
        Webhook
      </CardTitle>
      <Facts
        items={[
          ["State", <State key="state" webhook={webhook} />],
          ["Where", <code key="url">{webhook.url}</code>],
          ["Topics", webhook.topics.join(", ")],
          ["Secret", <Secret key="secret" webhook={webhook} />],
        ]}
      />
      {open === "edit" && <Edit webhook={webhook} close={close} />}
      {open === "secret" && <Rotate webhook={webhook} close={close} />}
    </Card>
  );
}

function Secret({ webhook }: { webhook: Webhook }) {
  const until = webhook.meta.previous_secret_until;
  if (!until) return <>kept sealed, shown to nobody</>;
  return (
    <>
      two: the one before signs as well, <Until at={until} />
    </>
  );
}

function Switch({ webhook }: { webhook: Webhook }) {
  const body = { enabled: !webhook.enabled };
  const save = useSave(
    () => good(api.PATCH("/v1/orgs/{org}/webhooks/{webhook}", { ...at(webhook), body })),
    webhook.enabled ? "Switched off" : "Switched on",
  );
  return (
    <>
      {save.problem && <Callout tone="bad">{save.problem.message}</Callout>}
      <Guarded permission="webhooks:write" disabled={save.busy} onClick={() => void save.run()}>
        {webhook.enabled ? "Switch off" : "Switch on"}
      </Guarded>
    </>
  );
}

function Edit({ webhook, close }: { webhook: Webhook; close: () => void }) {
  const [url, setUrl] = useState(webhook.url);
  const [wanted, setWanted] = useState(webhook.topics);
  const body = { url: url.trim(), topics: wanted };
  const save = useSave(
    () => good(api.PATCH("/v1/orgs/{org}/webhooks/{webhook}", { ...at(webhook), body })),
    "Saved",
    close,
  );
  return (
    <Dialog title={`Edit ${webhook.name}`} close={close}>
      <Form problem={save.problem} pointers={["/url", "/topics"]} onSubmit={() => void save.run()}>
        <Text
          label="Where messages are sent"
          pointer="/url"
          mono
          autoFocus
          value={url}
          onChange={setUrl}
          hint="Over TLS, to an address of the public internet."
        />
        <Topics wanted={wanted} set={setWanted} />
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={save.busy || body.url === "" || wanted.length === 0}>
            Save
          </Button>
        </div>
        <ShowAs request={{ method: "PATCH", path: `/v1/orgs/-/webhooks/${webhook.name}`, body }} />
      </Form>
    </Dialog>
  );
}

function Rotate({ webhook, close }: { webhook: Webhook; close: () => void }) {
  const [overlap, setOverlap] = useState("24h");
  const [secret, setSecret] = useState<string | null>(null);
  const body = { overlap };
  const save = useSave(
    () => good(api.POST("/v1/orgs/{org}/webhooks/{webhook}/rotations", { ...at(webhook), body })),
    null,
    (made) => setSecret(made.secret ?? ""),
  );
  return (
    <Dialog title={`A new secret for ${webhook.name}`} close={close}>
      {secret !== null ? (
        <SecretOnce
          what="secret"
          secret={secret}
          about={
            overlap === "0s"
              ? "Messages are not signed with the one before any longer."
              : `Messages are signed with the one before as well for another ${overlap}.`
          }
          done={close}
        />
      ) : (
        <Form problem={save.problem} pointers={["/overlap"]} onSubmit={() => void save.run()}>
          <Select
            label="The secret before signs as well for another"
            pointer="/overlap"
            value={overlap}
            onChange={setOverlap}
            options={[
              ["0s", "moment: it stops at once"],
              ["1h", "hour"],
              ["24h", "day"],
              ["168h", "week"],
            ]}
            hint="Time to put the new one where the old one is."
          />
          <div className="flex justify-end gap-2">
            <Button onClick={close}>Cancel</Button>
            <Button type="submit" kind="primary" disabled={save.busy}>
              Make a new secret
            </Button>
          </div>
          <ShowAs request={{ method: "POST", path: `/v1/orgs/-/webhooks/${webhook.name}/rotations`, body }} />
        </Form>
      )}
    </Dialog>
  );
}

function Deliveries({ webhook }: { webhook: Webhook }) {
  const query = useQuery(deliveriesQuery(webhook.name));
  const ping = useSave(
    () => good(api.POST("/v1/orgs/{org}/webhooks/{webhook}/pings", { ...at(webhook), body: {} })),
    "A message is on its way",
  );
  const test = (
    <Guarded
      permission="webhooks:write"
      disabled={ping.busy || !webhook.enabled}
      onClick={() => void ping.run()}
    >
      Send a test message
    </Guarded>
  );
  return (
    <section>
      <CardTitle aside={test}>Deliveries</CardTitle>
      {ping.problem && <Callout tone="bad">{ping.problem.message}</Callout>}
      <Loaded query={query} what="deliveries">
        {(list) =>
          list.length === 0 ? (
            <Empty icon={<Inbox />} title="Nothing was sent yet">
              What is sent here, and what became of it, is listed for 30 days.
            </Empty>
          ) : (
            <>
              <Rows webhook={webhook} list={list} />
              {list.length === NEWEST && (
                <p className="mt-3 text-muted">The newest {NEWEST}; the API lists those before.</p>
              )}
            </>
          )
        }
      </Loaded>
    </section>
  );
}

function Rows({ webhook, list }: { webhook: Webhook; list: Delivery[] }) {
  return (
    <Table
      label="Deliveries"
      rows={list}
      id={(one) => one.meta.uid}
      columns={[
        { head: "Message", cell: (one) => <code>{one.meta.uid}</code> },
        {
          head: "About",
          cell: (one) => (one.revision === null ? one.topic : `${one.topic} ${one.revision}`),
        },
        { head: "When", cell: (one) => <Ago at={one.meta.created_at} /> },
        { head: "State", cell: (one) => <Badge tone={tone[one.state] ?? "neutral"}>{one.state}</Badge> },
        { head: "Last answer", wide: true, cell: (one) => <Answer delivery={one} /> },
        { head: "Tries", number: true, cell: (one) => one.tries },
        { head: "Next", cell: (one) => (one.next_at ? <Until at={one.next_at} /> : "") },
        { head: "Actions", end: true, cell: (one) => <SendAgain webhook={webhook} delivery={one} /> },
      ]}
    />
  );
}

function Answer({ delivery }: { delivery: Delivery }) {
  const last = delivery.last_try;
  if (!last) return <>none yet</>;
  return (
    <span title={last.response ?? undefined}>
      {last.status ?? ""} {last.error ?? ""} <span className="text-muted">{last.duration_ms} ms</span>
    </span>
  );
}

function SendAgain({ webhook, delivery }: { webhook: Webhook; delivery: Delivery }) {
  const path = { org: ORG, webhook: webhook.name, delivery: delivery.meta.uid };
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/webhooks/{webhook}/deliveries/{delivery}/sendings", {
          params: { path },
          body: {},
        }),
      ),
    "The message is on its way",
  );
  return (
    <Guarded
      permission="webhooks:write"
      disabled={save.busy || !webhook.enabled}
      onClick={() => void save.run()}
    >
      {save.problem ? "Not sent: try again" : "Send again"}
    </Guarded>
  );
}
