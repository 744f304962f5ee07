// A link that starts something: for who may not do it, a button that is disabled and says why.
import type { ReactNode } from "react";
import { type Permission, useMay } from "./access";
import type { Kind } from "./basics";
import { linkButton } from "./basics";

export function ActionLink({
  permission,
  kind = "primary",
  children,
  link,
}: {
  permission: Permission;
  kind?: Kind;
  children: ReactNode;
  link: (className: string, children: ReactNode) => ReactNode;
}) {
  const may = useMay(permission);
  if (may) return link(linkButton(kind), children);
  return (
    <button type="button" disabled className={linkButton(kind)} title={`Needs the permission ${permission}`}>
      {children}
    </button>
  );
}
