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
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

export function commands(facts: Commands): string {
  const query = new URLSearchParams({ proxy: facts.proxy, service: facts.service });
  if (facts.version !== "") query.set("version", facts.version);
  query.set("bind_address", "0.0.0.0");
  query.set("advertise_address", facts.address);
  if (facts.app !== "" && facts.app !== "127.0.0.1") query.set("app_address", facts.app);
  const defaults = { inbound: "15006", outbound: "15001", admin: "15000" };
  for (const [name, port] of Object.entries(facts.ports)) {
    if (port !== defaults[name as keyof typeof defaults]) query.set(`${name}_port`, port);
  }
  const url = `${facts.origin}/v1/orgs/-/meshes/${facts.mesh}/bootstrap?${query}`;
  return [
    `(umask 077 && printf '%s' ${quoted(facts.secret)} > heddle-token)`,
    `curl -fsS ${quoted(`${url}&token_file=`)}"$PWD/heddle-token" \\`,
    "  -H \"Authorization: Bearer $(cat heddle-token)\" -H 'Accept: application/yaml' > envoy.yaml",
    "envoy -c envoy.yaml",
  ].join("\n");
}
