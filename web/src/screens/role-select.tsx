// Which role somebody gets, with what it lets them do.
import { type Role, roles } from "../api/people";
import { Select } from "../ui/form";

export function RoleSelect({
  value,
  onChange,
  none,
}: {
  value: string;
  onChange: (role: string) => void;
  none?: string;
}) {
  return (
    <Select
      label="Role"
      pointer="/role"
      value={value}
      onChange={onChange}
      options={[
        ...(none ? [["", none] as [string, string]] : []),
        ...Object.keys(roles).map((one): [string, string] => [one, one]),
      ]}
      hint={value === "" ? "It may do nothing until it has one." : roles[value as Role]}
    />
  );
}
