// Every address of the console, once. `screens.ts` lists what each must be able to show.
import {
  createRootRoute,
  createRoute,
  createRouter,
  Link,
  lazyRouteComponent,
  Outlet,
  type RouterHistory,
  redirect,
  useRouter,
} from "@tanstack/react-router";
import { useEffect } from "react";
import { session, useSignedIn } from "./api/session";
import { AccessScreen } from "./screens/access";
import { Account } from "./screens/account";
import { Connect } from "./screens/connect";
import { Device } from "./screens/device";
import { ForgotPassword } from "./screens/forgot-password";
import { History } from "./screens/history";
import { Home } from "./screens/home";
import { Invitation } from "./screens/invitation";
import { JoinTokens } from "./screens/join-tokens";
import { Members } from "./screens/members";
import { MeshNew } from "./screens/mesh-new";
import { MeshOverview } from "./screens/mesh-overview";
import { MeshSettings } from "./screens/mesh-settings";
import { Proxies } from "./screens/proxies";
import { ProxyConfig } from "./screens/proxy-config";
import { ProxyDetail } from "./screens/proxy-detail";
import { ResetPassword } from "./screens/reset-password";
import { RevisionDetail } from "./screens/revision";
import { RevisionObjects } from "./screens/revision-objects";
import { Revocations } from "./screens/revocations";
import { RoleBindings } from "./screens/role-bindings";
import { Rotations } from "./screens/rotations";
import { RouteEdit, RouteNew } from "./screens/route-edit";
import { RuleEdit, RuleNew } from "./screens/rule-edit";
import { ServiceAccounts } from "./screens/service-accounts";
import { ServiceDetail } from "./screens/service-detail";
import { ServiceNew } from "./screens/service-new";
import { ServiceSettings } from "./screens/service-settings";
import { Services } from "./screens/services";
import { SignIn } from "./screens/sign-in";
import { SsoReturn } from "./screens/sso-return";
import { Tokens } from "./screens/tokens";
import { UsageScreen } from "./screens/usage";
import { WebhookDetail } from "./screens/webhook";
import { Webhooks } from "./screens/webhooks";
import { Frame } from "./shell/frame";
import { useReadyMark } from "./shell/ready";
import { linkButton } from "./ui/basics";
import type { Filter } from "./ui/filter";
import { Empty } from "./ui/states";

const root = createRootRoute({ component: Root, notFoundComponent: NotFound });

function Root() {
  useReadyMark();
  return <Outlet />;
}

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  component: SignIn,
  validateSearch: (search): { next?: string; by?: "token" } => ({
    ...(typeof search.next === "string" ? { next: search.next } : {}),
    ...(search.by === "token" ? { by: "token" } : {}),
  }),
});

/** A page for whoever got a link by mail. The secret of the link stands behind the `#`. */
const ofLink = (search: Record<string, unknown>): { org?: string } =>
  typeof search.org === "string" && search.org !== "" ? { org: search.org } : {};

const forgotPassword = createRoute({
  getParentRoute: () => root,
  path: "/forgot-password",
  component: ForgotPassword,
});

const resetPassword = createRoute({
  getParentRoute: () => root,
  path: "/reset-password",
  component: ResetPassword,
  validateSearch: ofLink,
});

const invitation = createRoute({
  getParentRoute: () => root,
  path: "/invitation",
  component: Invitation,
  validateSearch: ofLink,
});

/** Where an identity provider sends people back to. */
const ssoReturn = createRoute({
  getParentRoute: () => root,
  path: "/sso/$org/$connection",
  component: SsoReturn,
});

const inside = createRoute({
  getParentRoute: () => root,
  id: "inside",
  component: Inside,
  beforeLoad: ({ location }) => {
    if (session.token() === null) throw redirect({ to: "/sign-in", search: { next: location.href } });
  },
});

function Inside() {
  return useSignedIn() ? <Frame /> : <Leave />;
}

/** Who was signed out by the server comes back to where they were. */
function Leave() {
  const router = useRouter();
  useEffect(() => {
    const next = router.state.location.href;
    void router.navigate({ to: "/sign-in", search: session.ended() ? { next } : {}, replace: true });
  }, [router]);
  return null;
}

export function listSearch(search: Record<string, unknown>): Filter {
  const text = (key: string) =>
    typeof search[key] === "string" && search[key] !== "" ? { [key]: search[key] } : {};
  return {
    ...text("q"),
    ...text("state"),
    ...text("view"),
    ...text("group"),
    ...text("open"),
    ...text("as"),
  };
}

const screen = <P extends string>(path: P, component: () => React.ReactNode) =>
  createRoute({ getParentRoute: () => inside, path, component, validateSearch: listSearch });

const topology = createRoute({
  getParentRoute: () => inside,
  path: "/meshes/$mesh/topology",
  component: lazyRouteComponent(() => import("./screens/topology"), "Topology"),
  validateSearch: listSearch,
});

const connect = createRoute({
  getParentRoute: () => inside,
  path: "/meshes/$mesh/connect",
  component: Connect,
  validateSearch: (search): { service?: string } =>
    typeof search.service === "string" ? { service: search.service } : {},
});

const revision = createRoute({
  getParentRoute: () => inside,
  path: "/meshes/$mesh/history/$revision",
  component: RevisionDetail,
  validateSearch: (search): { from?: number } => {
    const from = Number(search.from);
    return search.from !== undefined && Number.isSafeInteger(from) && from >= 0 ? { from } : {};
  },
});

const device = createRoute({
  getParentRoute: () => inside,
  path: "/device",
  component: Device,
  validateSearch: (search): { code?: string } =>
    typeof search.code === "string" && search.code !== "" ? { code: search.code } : {},
});

const tree = root.addChildren([
  signIn,
  forgotPassword,
  resetPassword,
  invitation,
  ssoReturn,
  inside.addChildren([
    screen("/", Home),
    screen("/account", Account),
    device,
    screen("/members", Members),
    screen("/service-accounts", ServiceAccounts),
    screen("/roles", RoleBindings),
    screen("/tokens", Tokens),
    screen("/webhooks", Webhooks),
    screen("/webhooks/$webhook", WebhookDetail),
    screen("/usage", UsageScreen),
    screen("/meshes/new", MeshNew),
    screen("/meshes/$mesh", MeshOverview),
    screen("/meshes/$mesh/settings", MeshSettings),
    topology,
    screen("/meshes/$mesh/services", Services),
    screen("/meshes/$mesh/services/new", ServiceNew),
    screen("/meshes/$mesh/services/$service", ServiceDetail),
    screen("/meshes/$mesh/services/$service/settings", ServiceSettings),
    screen("/meshes/$mesh/services/$service/routes/new", RouteNew),
    screen("/meshes/$mesh/services/$service/routes/$route", RouteEdit),
    screen("/meshes/$mesh/services/$service/access/new", RuleNew),
    screen("/meshes/$mesh/services/$service/access/$rule", RuleEdit),
    screen("/meshes/$mesh/access", AccessScreen),
    screen("/meshes/$mesh/proxies", Proxies),
    screen("/meshes/$mesh/proxies/$proxy", ProxyDetail),
    screen("/meshes/$mesh/proxies/$proxy/config", ProxyConfig),
    screen("/meshes/$mesh/join-tokens", JoinTokens),
    screen("/meshes/$mesh/authorities", Rotations),
    screen("/meshes/$mesh/revocations", Revocations),
    screen("/meshes/$mesh/history", History),
    revision,
    screen("/meshes/$mesh/history/$revision/objects", RevisionObjects),
    connect,
  ]),
]);

export const makeRouter = (history?: RouterHistory) =>
  createRouter({
    history,
    routeTree: tree,
    basepath: "/console",
    defaultPreload: false,
    scrollRestoration: false,
  });

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}

function NotFound() {
  return (
    <main className="mx-auto max-w-xl p-10">
      <Empty
        title="There is nothing at this address"
        action={
          <Link to="/" className={linkButton("primary")}>
            To your meshes
          </Link>
        }
      >
        It may have been deleted, or the address may be mistyped.
      </Empty>
    </main>
  );
}
