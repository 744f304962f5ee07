// Where an identity provider sends people back to.
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { api } from "../api/client";
import { asProblem, good, type Problem } from "../api/problem";
import { ORG, queryClient } from "../api/queries";
import { session } from "../api/session";
import { answerOf, cameBack } from "../api/sso";
import { inText, Outside } from "../shell/outside";
import { SecondStep, type SignedIn } from "../shell/second-step";
import { Loading, Reference } from "../ui/states";
import { safeNext } from "./sign-in";

export function SsoReturn() {
  const { org, connection } = useParams({ from: "/sso/$org/$connection" });
  const navigate = useNavigate();
  const [problem, setProblem] = useState<Problem | null>(null);
  const [lost, setLost] = useState(false);
  const [challenge, setChallenge] = useState<{ org: string; secret: string; next: string } | null>(null);
  const begun = useRef(false);

  const enter = (answer: SignedIn, next: string) => {
    session.begin(answer);
    queryClient.clear();
    void navigate({ href: next, replace: true });
  };

  useEffect(() => {
    // Once, whatever React does: what came back works once.
    if (begun.current) return;
    begun.current = true;
    const away = cameBack();
    const search = location.search;
    // Neither the history nor a screenshot keeps the code.
    history.replaceState(history.state, "", location.pathname);
    if (away === null || away.org !== org) {
      setLost(true);
      return;
    }
    const body = answerOf(away, connection, search);
    const next = safeNext(away.next);
    const done = async () => {
      if (away.link) {
        await good(api.POST("/v1/orgs/{org}/identities", { params: { path: { org: ORG } }, body }));
        queryClient.clear();
        await navigate({ href: next, replace: true });
        return;
      }
      enter(await good(api.POST("/v1/sso-sign-ins/completions", { body })), next);
    };
    done().catch((error: unknown) => {
      const why = asProblem(error);
      if (why.challenge === undefined) setProblem(why);
      else setChallenge({ org, secret: why.challenge, next });
    });
  });

  const title = <title>Signing in · Heddle</title>;
  const below = (
    <Link to="/sign-in" className={inText}>
      To the sign-in page
    </Link>
  );
  if (challenge !== null)
    return (
      <Outside title="One more step" below={below}>
        {title}
        <SecondStep
          challenge={challenge}
          begin={(answer) => enter(answer, challenge.next)}
          restart={() => void navigate({ to: "/sign-in" })}
        />
      </Outside>
    );
  if (lost || problem !== null)
    return (
      <Outside title="You are not signed in" below={below}>
        {title}
        <div role="alert" className="space-y-2">
          <p className="font-semibold">{lost ? "This sign-in did not begin here" : problem?.title}</p>
          <p>
            {lost
              ? "It began in another tab or browser, or was finished already. Begin again at the sign-in page."
              : inWords(problem)}
          </p>
          {problem !== null && <Reference problem={problem} />}
        </div>
      </Outside>
    );
  return (
    <Outside title="Signing in">
      {title}
      <Loading what="answer of your provider" rows={2} />
    </Outside>
  );
}

/** Nobody is known by this account. */
const UNKNOWN = "HED-2104";

function inWords(problem: Problem | null): string {
  if (problem?.code === UNKNOWN)
    return `${problem.message}. If you are a member, sign in with your password and link the account under “Your account”. If not, ask for an invitation.`;
  return problem?.message ?? "";
}
