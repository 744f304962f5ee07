// "Sign in with ...": one button for each provider of an organisation.
import { useQuery } from "@tanstack/react-query";
import { LogIn } from "lucide-react";
import { useSave } from "../api/save";
import { optionsQuery, signInBy } from "../api/sso";
import { Button } from "../ui/basics";
import { Form } from "../ui/form";

type Option = { name: string; display_name?: string | null };

export function SsoButtons({
  org,
  go,
  verb = "Sign in",
}: {
  org: string;
  /** Leaves for the provider of this connection; absent: to sign in. */
  go?: (connection: string) => Promise<void>;
  verb?: string;
}) {
  const { data } = useQuery(optionsQuery(org));
  const leave = go ?? ((connection: string) => signInBy({ org, connection }, {}));
  return data?.items.map((one) => <Leave key={one.name} option={one} verb={verb} leave={leave} />);
}

function Leave({
  option,
  verb,
  leave,
}: {
  option: Option;
  verb: string;
  leave: (connection: string) => Promise<void>;
}) {
  const save = useSave(() => leave(option.name), null);
  return (
    <Form problem={save.problem} pointers={[]} onSubmit={() => void save.run()}>
      <Button type="submit" className="w-full" disabled={save.busy}>
        <LogIn aria-hidden className="size-4" /> {verb} with {option.display_name ?? option.name}
      </Button>
    </Form>
  );
}
