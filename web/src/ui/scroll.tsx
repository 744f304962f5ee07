import type { ReactNode } from "react";

/** What is wider than its place scrolls by itself, and by keyboard as well. */
export function Scroll({
  label,
  className,
  children,
}: {
  label: string;
  className?: string;
  children: ReactNode;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section tabIndex={0} aria-label={label} className={`overflow-auto ${className ?? ""}`}>
      {children}
    </section>
  );
}
