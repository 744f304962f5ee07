// A class list with named variants.
export function cva<V extends string>(base: string, variants: Record<V, string>) {
  return (variant: V) => `${base} ${variants[variant]}`;
}

export type VariantProps<T> = T extends (variant: infer V) => string ? V : never;
