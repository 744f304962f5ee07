// What a person runs on the host of an Envoy.
export interface Commands {
  origin: string;
  mesh: string;
  proxy: string;
  service: string;
  version: string;
  address: string;
  app: string;
  ports: { inbound: string; outbound: string; admin: string };
  secret: string;
  // It runs with a file and listeners of its own, and is given an overlay beside them.
  own: boolean;
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

export function commands(facts: Commands): string {
  const query = new URLSearchParams({ proxy: facts.proxy, service: facts.service });
  if (facts.own) return beside(facts, query);
  if (facts.version !== "") query.set("version", facts.version);
  query.set("bind_address", "0.0.0.0");
  query.set("advertise_address", facts.address);
  if (facts.app !== "" && facts.app !== "127.0.0.1") query.set("app_address", facts.app);
  const defaults = { inbound: "15006", outbound: "15001", admin: "15000" };
  for (const [name, port] of Object.entries(facts.ports)) {
    if (port !== defaults[name as keyof typeof defaults]) query.set(`${name}_port`, port);
  }
  return [...fetched(facts, query, "envoy.yaml"), "envoy -c envoy.yaml"].join("\n");
}

function beside(facts: Commands, query: URLSearchParams): string {
  query.set("mode", "augment");
  const both = '-c /etc/envoy/envoy.yaml --config-yaml "$(cat overlay.yaml)"';
  return [...fetched(facts, query, "overlay.yaml"), `envoy --mode validate ${both}`, `envoy ${both}`].join(
    "\n",
  );
}

function fetched(facts: Commands, query: URLSearchParams, into: string): string[] {
  const url = `${facts.origin}/v1/orgs/-/meshes/${facts.mesh}/bootstrap?${query}`;
  return [
    `(umask 077 && printf '%s' ${quoted(facts.secret)} > heddle-token)`,
    `curl -fsS ${quoted(`${url}&token_file=`)}"$PWD/heddle-token" \\`,
    `  -H "Authorization: Bearer $(cat heddle-token)" -H 'Accept: application/yaml' > ${into}`,
  ];
}
