// Why something is changed, for the history of the mesh.
import { Text } from "./form";

export function Why({
  save,
  disabled,
}: {
  save: { why: string; setWhy: (why: string) => void };
  disabled?: boolean;
}) {
  return (
    <Text
      label="Why this change"
      value={save.why}
      onChange={save.setWhy}
      disabled={disabled}
      placeholder="A ticket, or a sentence"
      hint="Optional. The history of the mesh shows it."
    />
  );
}
