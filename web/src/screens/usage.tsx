// How much the organisation has of what is limited, and what it used day by day.
import { useQuery } from "@tanstack/react-query";
import { clsx } from "clsx";
import { type Usage, type UsageDay, usageQuery } from "../api/usage";
import { Card, CardTitle, PageHead } from "../ui/basics";
import { Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Quiet } from "./quiet";

const names: Record<string, string> = {
  meshes: "Meshes",
  profiles: "Profiles",
  services: "Services",
  routes: "Routes",
  splits: "Splits",
  access_rules: "Access rules",
  proxies: "Proxies",
  join_tokens: "Join tokens",
  members: "Members and open invitations",
  service_accounts: "Service accounts",
  tokens: "API tokens",
  webhooks: "Webhooks",
  sso_connections: "Connections to identity providers",
  certificates_per_day: "Certificates by the API today",
};

/** From here on somebody should know, in parts of the limit. */
const NEAR = 0.8;

const number = (value: number) => value.toLocaleString("en");
const hours = (day: UsageDay) => day.proxy_seconds / 3600;
const rounded = (value: number) => value.toLocaleString("en", { maximumFractionDigits: 1 });

export function UsageScreen() {
  const query = useQuery(usageQuery());
  return (
    <>
      <title>Usage · Heddle</title>
      <PageHead
        title="Usage"
        about="How much there is, and how much there may be. Where a limit is reached nothing can be added; what is there stays. Whoever runs the server changes limits."
      />
      <Loaded query={query} what="usage">
        {(usage) => (
          <div className="space-y-8">
            <Card>
              <CardTitle>Limits</CardTitle>
              <ul className="grid gap-x-10 gap-y-5 lg:grid-cols-2">
                {usage.quotas.map((quota) => (
                  <Quota key={quota.quota} quota={quota} />
                ))}
              </ul>
            </Card>
            <Days days={usage.days} />
          </div>
        )}
      </Loaded>
    </>
  );
}

function Quota({ quota }: { quota: Usage["quotas"][number] }) {
  const { used, limit } = quota;
  const name = names[quota.quota] ?? quota.quota;
  const part = limit === null ? 0 : limit === 0 ? 1 : used / limit;
  const full = limit !== null && used >= limit;
  const said = limit === null ? `${number(used)}, without a limit` : `${number(used)} of ${number(limit)}`;
  return (
    <li>
      <div className="mb-1.5 flex items-baseline justify-between gap-4">
        <span className="font-medium">{name}</span>
        <span className={clsx("tabular-nums", full ? "font-medium text-bad" : "text-muted")}>
          {said}
          {full && ": full"}
        </span>
      </div>
      {limit !== null && (
        <div aria-hidden className="h-2 overflow-hidden rounded-full bg-sunken">
          <div
            className={clsx("h-full rounded-full", full ? "bg-bad" : part >= NEAR ? "bg-warn" : "bg-accent")}
            style={{ width: `${Math.min(part, 1) * 100}%` }}
          />
        </div>
      )}
    </li>
  );
}

function Days({ days }: { days: UsageDay[] }) {
  const newest = [...days].reverse();
  const most = Math.max(...days.map(hours));
  return (
    <section>
      <CardTitle>The last {days.length} days</CardTitle>
      {most === 0 && (
        <div className="mb-4">
          <Quiet>No proxy was connected within the last {days.length} days.</Quiet>
        </div>
      )}
      <Table
        label="Usage by day"
        rows={newest}
        id={(day) => day.day}
        columns={[
          { head: "Day (UTC)", cell: (day) => <span className="tabular-nums">{day.day}</span> },
          {
            head: "Proxy hours",
            wide: true,
            cell: (day) => (
              <span className="flex items-center gap-3">
                <span className="w-20 tabular-nums">{rounded(hours(day))}</span>
                <span aria-hidden className="h-2 flex-1">
                  <span
                    className="block h-2 rounded-full bg-accent"
                    style={{ width: `${most === 0 ? 0 : (hours(day) / most) * 100}%` }}
                  />
                </span>
              </span>
            ),
          },
          { head: "Pushes", number: true, cell: (day) => number(day.pushes) },
          { head: "Certificates", number: true, cell: (day) => number(day.certificates) },
          { head: "Requests", number: true, cell: (day) => number(day.requests) },
        ]}
      />
    </section>
  );
}
