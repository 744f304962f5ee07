/** What an owner said of an object: without what the server adds, ready to be changed and sent back. */
export function sent<T extends object>(object: T | undefined): Omit<T, "name" | "meta" | "status"> {
  const copy: Record<string, unknown> = { ...object };
  for (const added of ["name", "meta", "status"]) delete copy[added];
  return copy as Omit<T, "name" | "meta" | "status">;
}
