// Where the organisation is told what happens in it.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Webhook as Icon, Plus } from "lucide-react";
import { useState } from "react";
import { type Webhook, webhooksQuery } from "../api/webhooks";
import { Guarded, ReadOnlyNote } from "../ui/access";
import { Badge, PageHead } from "../ui/basics";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago } from "../ui/time";
import { WebhookNew } from "./webhook-new";

const because: Record<string, string> = {
  by_hand: "by hand",
  failing: "took nothing for five days",
  backlog: "too much waited for it",
  gone: "it says that it is gone",
};

export function Webhooks() {
  const query = useQuery(webhooksQuery());
  const [adding, setAdding] = useState(false);
  const add = (
    <Guarded permission="webhooks:write" kind="primary" onClick={() => setAdding(true)}>
      <Plus aria-hidden className="size-4" /> New webhook
    </Guarded>
  );
  return (
    <>
      <title>Webhooks · Heddle</title>
      <PageHead
        title="Webhooks"
        about="Where Heddle tells you what happens: each message is signed, comes at least once, and comes again later when it is not taken."
        actions={add}
      />
      <ReadOnlyNote permission="webhooks:write" />
      <Loaded query={query} what="webhooks">
        {(list) =>
          list.length === 0 ? (
            <Empty icon={<Icon />} title="No webhooks" action={add}>
              For a chat, a pipeline or a log of your own: it is called whenever a mesh has a new revision, or
              somebody did something.
            </Empty>
          ) : (
            <Rows list={list} />
          )
        }
      </Loaded>
      {adding && <WebhookNew close={() => setAdding(false)} />}
    </>
  );
}

function Rows({ list }: { list: Webhook[] }) {
  return (
    <Table
      label="Webhooks"
      rows={list}
      id={(one) => one.meta.uid}
      columns={[
        {
          head: "Webhook",
          cell: (one) => (
            <Link
              to="/webhooks/$webhook"
              params={{ webhook: one.name }}
              className="font-medium text-accent hover:underline"
            >
              {one.name}
            </Link>
          ),
        },
        { head: "Where", wide: true, cell: (one) => <span className="break-all">{one.url}</span> },
        { head: "Topics", cell: (one) => one.topics.join(", ") },
        { head: "State", wide: true, cell: (one) => <State webhook={one} /> },
      ]}
    />
  );
}

export function State({ webhook }: { webhook: Webhook }) {
  const { disabled_because: why, failing_since: since } = webhook;
  if (why)
    return (
      <span>
        <Badge tone={why === "by_hand" ? "neutral" : "bad"}>off</Badge> {because[why] ?? why}
      </span>
    );
  if (since)
    return (
      <span>
        <Badge tone="warn">failing</Badge> since <Ago at={since} />
      </span>
    );
  return <Badge tone="ok">on</Badge>;
}
