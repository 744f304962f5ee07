// What stands around every screen of who is signed in; or, where the organisation asks for a second factor that one does not have, the
// one thing that there is to do.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { whoamiQuery } from "../api/queries";
import { signOut } from "../api/sign-out";
import { linkBy } from "../api/sso";
import { EnrolSecondFactor } from "../screens/enrol-second-factor";
import { Toast } from "../ui/toast";
import { inText, Outside } from "./outside";
import { Shell } from "./shell";
import { SignInAgain } from "./sign-in-again";
import { SsoButtons } from "./sso-buttons";

export function Frame() {
  const { data: who } = useQuery(whoamiQuery());
  // Once it is confirmed nothing stands in the way any more, but the recovery codes are still to be seen.
  const [confirmed, setConfirmed] = useState(false);
  if (who?.must_sign_in_by_sso) return <SignInBySso org={who.org.name} />;
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

function SignInBySso({ org }: { org: string }) {
  return (
    <Outside
      title="Sign in with your provider"
      below={
        <button type="button" className={inText} onClick={() => void signOut()}>
          Sign out
        </button>
      }
    >
      <title>Sign in with your provider · Heddle</title>
      <p className="mb-5">
        {org} asks everybody to sign in by its identity provider, and you signed in with a password. If you
        have not linked your account there yet, link it first.
      </p>
      <div className="space-y-3">
        <SsoButtons org={org} go={linkBy} verb="Link the account" />
        <SsoButtons org={org} />
      </div>
      <SignInAgain />
      <Toast />
    </Outside>
  );
}
