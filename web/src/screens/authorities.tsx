// What signs the certificates of a mesh, when it ends, and who has to see to that.
import { useQuery } from "@tanstack/react-query";
import { type Authority, authoritiesQuery } from "../api/trust";
import { Badge, CardTitle } from "../ui/basics";
import { Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { moment } from "../ui/time";

const kinds: Record<string, string> = { root: "Root", issuing: "Intermediate" };
const owners: Record<string, string> = { heddle: "Heddle", owner: "you" };

/** Those that somebody trusts, newest first. */
export function Authorities({ mesh }: { mesh: string }) {
  const query = useQuery(authoritiesQuery(mesh));
  return (
    <Loaded query={query} what="authorities">
      {(list) => <InForce list={list.filter((one) => one.state !== "removed")} />}
    </Loaded>
  );
}

function InForce({ list }: { list: Authority[] }) {
  if (list.length === 0) return null;
  return (
    <section>
      <CardTitle>In force</CardTitle>
      <Table
        label="Authorities in force"
        rows={list}
        id={(one) => one.meta.uid}
        columns={[
          {
            head: "Authority",
            wide: true,
            cell: (one) => <span className="font-medium">{kinds[one.authority] ?? one.authority}</span>,
          },
          {
            head: "State",
            cell: (one) => <Badge tone={one.state === "active" ? "ok" : "neutral"}>{one.state}</Badge>,
          },
          { head: "Key of", cell: (one) => owners[one.key_of] ?? one.key_of },
          { head: "Ends", cell: (one) => moment(one.not_after) },
          { head: "Act by", cell: (one) => <ActBy authority={one} /> },
        ]}
      />
    </section>
  );
}

function ActBy({ authority }: { authority: Authority }) {
  if (!authority.act_by) return "–";
  if (!authority.attention) return moment(authority.act_by);
  return <Badge tone="bad">{moment(authority.act_by)}</Badge>;
}
