// The frame around every screen: where you are, where you can go, who you are.
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useParams } from "@tanstack/react-router";
import { clsx } from "clsx";
import {
  Bot,
  Boxes,
  Gauge,
  History,
  Keyboard,
  KeyRound,
  LayoutDashboard,
  LogOut,
  Monitor,
  Moon,
  Plug,
  RefreshCw,
  Search,
  Server,
  ShieldCheck,
  ShieldX,
  Sun,
  UserCog,
  Users,
  Waypoints,
  Webhook,
} from "lucide-react";
import { type ComponentType, type ReactNode, useState } from "react";
import { useLive } from "../api/live";
import { meshesQuery, whoamiQuery } from "../api/queries";
import { signOut } from "../api/sign-out";
import { Choice } from "../ui/form";
import { Toast } from "../ui/toast";
import { meshPlaces, orgPlaces, useKeys } from "./keys";
import { Mark } from "./mark";
import { Palette } from "./palette";
import { Key, modifier, Shortcuts } from "./shortcuts";
import { SignInAgain } from "./sign-in-again";
import { themeWord, useTheme } from "./theme";

export function Shell() {
  const { mesh } = useParams({ strict: false });
  useLive(mesh);
  const navigate = useNavigate();
  const [over, setOver] = useState<"palette" | "help" | null>(null);
  const close = () => setOver(null);
  useKeys({
    palette: () => setOver("palette"),
    help: () => setOver("help"),
    go(key) {
      const places = [...(mesh === undefined ? [] : meshPlaces), ...orgPlaces];
      const place = places.find((one) => one.key === key);
      if (place) void navigate({ to: place.to as "/", params: { mesh } as never });
    },
  });
  return (
    <div className="grid min-h-screen grid-cols-[15.5rem_minmax(0,1fr)]">
      <a
        href="#content"
        className="sr-only z-10 rounded-lg bg-surface px-4 py-2 focus:not-sr-only focus:fixed focus:top-3 focus:left-3"
      >
        Skip to the content
      </a>
      <div className="border-r border-line bg-surface">
        <aside className="sticky top-0 flex h-screen flex-col">
          <Link to="/" className="mx-3 mt-4 mb-5 flex items-center gap-2.5 rounded-lg px-2 py-1">
            <Mark />
            <span className="text-[1.0714rem] font-semibold tracking-tight">Heddle</span>
          </Link>
          <Switcher mesh={mesh} />
          <button
            type="button"
            aria-keyshortcuts="Control+K Meta+K"
            onClick={() => setOver("palette")}
            className="mx-3 mt-2 flex h-9 items-center gap-3 rounded-lg border border-line bg-canvas px-2.5 text-muted hover:text-ink"
          >
            <Search aria-hidden className="size-4" />
            <span className="flex-1 text-left">Find</span>
            <span aria-hidden className="flex gap-1">
              <Key>{modifier()}</Key>
              <Key>K</Key>
            </span>
          </button>
          <nav aria-label="Main" className="flex-1 space-y-0.5 overflow-y-auto px-3 pt-4">
            {mesh === undefined ? <OrgItems /> : <MeshItems mesh={mesh} />}
          </nav>
          <Person help={() => setOver("help")} />
        </aside>
      </div>
      <main id="content" tabIndex={-1} className="min-w-0 px-10 py-8 outline-none">
        <div className="mx-auto max-w-[76rem] 2xl:max-w-[96rem]">
          <Outlet />
        </div>
      </main>
      <Toast />
      <SignInAgain />
      {over === "palette" && <Palette mesh={mesh} close={close} />}
      {over === "help" && <Shortcuts mesh={mesh} close={close} />}
    </div>
  );
}

function OrgItems() {
  return (
    <>
      <Item to="/" icon={Boxes} exact>
        Meshes
      </Item>
      <Item to="/members" icon={Users}>
        Members
      </Item>
      <Item to="/service-accounts" icon={Bot}>
        Service accounts
      </Item>
      <Item to="/roles" icon={UserCog}>
        Roles
      </Item>
      <Item to="/tokens" icon={KeyRound}>
        API tokens
      </Item>
      <Item to="/webhooks" icon={Webhook}>
        Webhooks
      </Item>
      <Item to="/usage" icon={Gauge}>
        Usage
      </Item>
    </>
  );
}

function MeshItems({ mesh }: { mesh: string }) {
  return (
    <>
      <Item to="/meshes/$mesh" mesh={mesh} icon={LayoutDashboard} exact>
        Overview
      </Item>
      <Item to="/meshes/$mesh/topology" mesh={mesh} icon={Waypoints}>
        Topology
      </Item>
      <Item to="/meshes/$mesh/services" mesh={mesh} icon={Boxes}>
        Services
      </Item>
      <Item to="/meshes/$mesh/access" mesh={mesh} icon={ShieldCheck}>
        Access
      </Item>
      <Item to="/meshes/$mesh/proxies" mesh={mesh} icon={Server}>
        Proxies
      </Item>
      <Item to="/meshes/$mesh/history" mesh={mesh} icon={History}>
        History
      </Item>
      <Item to="/meshes/$mesh/join-tokens" mesh={mesh} icon={KeyRound}>
        Join tokens
      </Item>
      <Item to="/meshes/$mesh/authorities" mesh={mesh} icon={RefreshCw}>
        Authorities
      </Item>
      <Item to="/meshes/$mesh/revocations" mesh={mesh} icon={ShieldX}>
        Revocations
      </Item>
      <Item to="/meshes/$mesh/connect" mesh={mesh} icon={Plug}>
        Connect a proxy
      </Item>
    </>
  );
}

function Item({
  to,
  mesh,
  icon: Icon,
  exact = false,
  children,
}: {
  to: string;
  mesh?: string;
  icon: ComponentType<{ className?: string }>;
  exact?: boolean;
  children: ReactNode;
}) {
  const base = "flex h-9 items-center gap-3 rounded-lg px-2.5 font-medium";
  return (
    <Link
      to={to as "/"}
      params={mesh === undefined ? undefined : ({ mesh } as never)}
      activeOptions={{ exact, includeSearch: false }}
      activeProps={{ className: clsx(base, "bg-accent-soft text-accent"), "aria-current": "page" }}
      inactiveProps={{ className: clsx(base, "text-muted hover:bg-sunken hover:text-ink") }}
    >
      <Icon aria-hidden className="size-4 shrink-0" />
      {children}
    </Link>
  );
}

function Switcher({ mesh }: { mesh: string | undefined }) {
  const { data: who } = useQuery(whoamiQuery());
  const { data: meshes } = useQuery(meshesQuery());
  const navigate = useNavigate();
  const known = meshes ?? [];
  return (
    <div className="px-3">
      <label htmlFor="mesh-switch" className="mb-1 block truncate px-2.5 text-[0.8571rem] text-muted">
        {who ? who.org.name : "\u00a0"}
      </label>
      <Choice
        id="mesh-switch"
        aria-label="Mesh"
        value={mesh ?? ""}
        onChange={(event) => {
          const next = event.target.value;
          if (next === "") void navigate({ to: "/" });
          else void navigate({ to: "/meshes/$mesh", params: { mesh: next } });
        }}
        className="h-9 w-full rounded-lg border border-line bg-canvas pl-2.5 font-medium"
      >
        <option value="">All meshes</option>
        {mesh !== undefined && !known.some((one) => one.name === mesh) && (
          <option value={mesh}>{mesh}</option>
        )}
        {known.map((one) => (
          <option key={one.name} value={one.name}>
            {one.display_name ?? one.name}
          </option>
        ))}
      </Choice>
    </div>
  );
}

function Person({ help }: { help: () => void }) {
  const { data: who } = useQuery(whoamiQuery());
  const { choice, next, choose } = useTheme();
  const [leaving, setLeaving] = useState(false);
  const icon = "rounded-lg p-2 text-muted hover:bg-sunken hover:text-ink";
  const Theme = { light: Sun, dark: Moon, system: Monitor }[choice];
  return (
    <div className="border-t border-line p-3">
      <Link to="/account" title="Your account" className="block rounded-lg px-2.5 py-1 hover:bg-sunken">
        <span className="block truncate font-medium">
          {who ? (who.principal?.email ?? called(who.actor)) : "\u00a0"}
        </span>
        <span className="block truncate text-[0.8571rem] text-muted capitalize">
          {who ? (who.role ?? "Roles at meshes") : "\u00a0"}
        </span>
      </Link>
      <div className="mt-1 flex items-center justify-between px-0.5">
        <button
          type="button"
          onClick={() => choose(next)}
          className={icon}
          title={`Theme: ${themeWord[choice]}`}
          aria-label={`Use the ${themeWord[next]} theme`}
        >
          <Theme aria-hidden className="size-4" />
        </button>
        <button type="button" onClick={help} className={icon} aria-label="Keyboard shortcuts">
          <Keyboard aria-hidden className="size-4" />
        </button>
        <button
          type="button"
          className={icon}
          aria-label="Sign out"
          disabled={leaving}
          onClick={() => {
            setLeaving(true);
            void signOut();
          }}
        >
          <LogOut aria-hidden className="size-4" />
        </button>
      </div>
    </div>
  );
}

/** The name in "tok_01J… (name)". */
export function called(actor: unknown): string {
  if (typeof actor === "string") return /\((.+)\)$/.exec(actor)?.[1] ?? actor;
  if (typeof actor === "object" && actor !== null && "name" in actor) return String(actor.name);
  return "";
}
