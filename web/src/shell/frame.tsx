// What stands around every screen of who is signed in; or, where the organisation asks for a second factor that one does not have, the
// one thing that there is to do.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { whoamiQuery } from "../api/queries";
import { signOut } from "../api/sign-out";
import { EnrolSecondFactor } from "../screens/enrol-second-factor";
import { Toast } from "../ui/toast";
import { inText, Outside } from "./outside";
import { Shell } from "./shell";
import { SignInAgain } from "./sign-in-again";

export function Frame() {
  const { data: who } = useQuery(whoamiQuery());
  // Once it is confirmed nothing stands in the way any more, but the recovery codes are still to be seen.
  const [confirmed, setConfirmed] = useState(false);
  if (who === undefined || !(who.must_enrol_second_factor || confirmed)) return <Shell />;
  return (
    <EnrolFirst org={who.org.name} confirmed={() => setConfirmed(true)} done={() => setConfirmed(false)} />
  );
}

function EnrolFirst({ org, ...steps }: { org: string; confirmed: () => void; done: () => void }) {
  return (
    <Outside
      title="Set up a second factor"
      below={
        <button type="button" className={inText} onClick={() => void signOut()}>
          Sign out
        </button>
      }
    >
      <title>Set up a second factor · Heddle</title>
      <p className="mb-5">
        {org} asks everybody for a second factor at sign-in. Until you have one there is nothing else that you
        may do here.
      </p>
      <EnrolSecondFactor {...steps} />
      <SignInAgain />
      <Toast />
    </Outside>
  );
}
