import { Link } from "@tanstack/react-router";
import { CrumbArrow } from "./basics";

const link = "hover:text-ink";

export function MeshCrumbs({ mesh, at }: { mesh: string; at?: string }) {
  return (
    <>
      <Link to="/meshes/$mesh" params={{ mesh }} className={link}>
        {mesh}
      </Link>
      {at && (
        <>
          <CrumbArrow />
          <span>{at}</span>
        </>
      )}
    </>
  );
}

export function ServiceCrumbs({ mesh, service, at }: { mesh: string; service?: string; at?: string }) {
  return (
    <>
      <Link to="/meshes/$mesh" params={{ mesh }} className={link}>
        {mesh}
      </Link>
      <CrumbArrow />
      <Link to="/meshes/$mesh/services" params={{ mesh }} className={link}>
        Services
      </Link>
      {service && (
        <>
          <CrumbArrow />
          <Link to="/meshes/$mesh/services/$service" params={{ mesh, service }} className={link}>
            {service}
          </Link>
        </>
      )}
      {at && (
        <>
          <CrumbArrow />
          <span>{at}</span>
        </>
      )}
    </>
  );
}
