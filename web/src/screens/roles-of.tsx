// Roles as badges, with the mesh that each is bound to.
import { useQuery } from "@tanstack/react-query";
import { meshesQuery } from "../api/queries";
import { Badge } from "../ui/basics";

export function RolesOf({ roles }: { roles: { role: string; mesh?: string }[] }) {
  const { data: meshes } = useQuery(meshesQuery());
  if (roles.length === 0) return <span className="text-muted">none</span>;
  const name = (uid: string) => meshes?.find((mesh) => mesh.meta.uid === uid)?.name ?? uid;
  return (
    <span className="flex flex-wrap gap-1.5">
      {roles.map(({ role, mesh }) => (
        <Badge
          key={`${role} ${mesh ?? ""}`}
          tone={role === "owner" || role === "admin" ? "accent" : "neutral"}
        >
          {mesh === undefined ? role : `${role} at ${name(mesh)}`}
        </Badge>
      ))}
    </span>
  );
}
