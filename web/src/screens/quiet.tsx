/** A place that holds nothing, said in one line. */
export function Quiet({ children }: { children: React.ReactNode }) {
  return (
    <p data-state="empty" className="rounded-xl border border-dashed border-line px-5 py-4 text-muted">
      {children}
    </p>
  );
}
