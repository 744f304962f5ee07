package acceptance

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"heddle.example/terraform-provider-heddle/internal/client"
)

// many configurations of each kind stand in one plan.
const many = 20

// random makes valid bodies. Where it knows no better, a body has what the document's example has: a field that the API
// gains is in half of the configurations from then on.
type random struct {
	*rand.Rand
	example map[string]any
	index   int
}

func (r *random) chance() bool { return r.IntN(2) == 0 }

func (r *random) one(words ...string) string { return words[r.IntN(len(words))] }

// some is a shuffled part, of at least one.
func (r *random) some(words ...string) []string {
	words = slices.Clone(words)
	r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return words[:1+r.IntN(len(words))]
}

// text has what is awkward in one language or another.
func (r *random) text() string {
	return r.one("", "plain", `"quoted"`, "${not.a.reference}", "%{if}", "Zoë, 東京", "tab\tand\nline", `back\slash`, "<&>", " spaces ", "null")
}

func (r *random) duration() string {
	return r.one("1000ms", "1s", "1.5s", "0.25s", "90s", "2m", "1h", "60m")
}

func (r *random) labels() map[string]any {
	labels := map[string]any{}
	for i := range r.IntN(4) {
		labels[r.one("team", "tier", "example.io/x-y", "A_b.c")+strconv.Itoa(i)] = r.one("", "1", "true", "pay", "${x}", "é \"q\"")
	}
	return labels
}

func (r *random) settings() map[string]any {
	settings := map[string]any{}
	if r.chance() {
		settings["timeout"] = r.duration()
	}
	if r.chance() {
		retries := map[string]any{}
		if r.chance() {
			retries["attempts"] = r.IntN(11)
		}
		if r.chance() {
			retries["on"] = r.some("connect_failure", "refused_stream", "reset", "gateway_error", "server_error")
		}
		if r.chance() {
			retries["per_try_timeout"] = r.duration()
		}
		settings["retries"] = retries
	}
	example, _ := r.example["defaults"].(map[string]any)
	if example == nil {
		example, _ = r.example["settings"].(map[string]any)
	}
	r.further(settings, example, "timeout", "retries")
	return settings
}

// further takes half of what the example has and is not known here.
func (r *random) further(body, example map[string]any, known ...string) {
	for _, name := range slices.Sorted(maps.Keys(example)) {
		if !slices.Contains(known, name) && r.chance() {
			body[name] = example[name]
		}
	}
}

func (r *random) path() map[string]any {
	return map[string]any{r.one("exact", "prefix"): r.one("/", "/v1", "/v1/charges", "/a-b_c.d~e", "/%20x", "/$%7Bx%7D", "/${x}")}
}

func (r *random) methods() []string { return r.some("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") }

func (r *random) header() map[string]any {
	header := map[string]any{"name": r.one("x-beta", "accept", "x-$")}
	switch r.IntN(3) {
	case 0:
		header["exact"] = r.one("", "1", "a, b", `"q"`, "${x}")
	case 1:
		header["prefix"] = r.one("a", " ", "%{")
	default:
		header["present"] = r.chance()
	}
	return header
}

func (r *random) mesh() map[string]any {
	body := map[string]any{"deletion_protection": false}
	r.common(body)
	r.maybe(body, "defaults", func() any { return r.settings() })
	r.maybe(body, "access_default", func() any { return r.one("deny", "allow") })
	r.maybe(body, "unknown_hosts", func() any { return r.one("not_found", "bad_gateway") })
	r.further(body, r.example, "name", "display_name", "labels", "defaults", "access_default", "unknown_hosts", "deletion_protection")
	if body["guardrails"] != nil {
		// What the mesh itself says keeps them, too.
		body["defaults"], body["access_default"] = r.example["defaults"], "deny"
	}
	return body
}

func (r *random) service() map[string]any {
	var ports []any
	for i := range 1 + r.IntN(3) {
		ports = append(ports, map[string]any{
			"name": fmt.Sprintf("p%d", i), "port": 1 + r.IntN(60_000) + i, "protocol": r.one("http", "http2", "grpc"),
		})
	}
	numbers := map[any]bool{}
	ports = slices.DeleteFunc(ports, func(port any) bool {
		number := port.(map[string]any)["port"]
		again := numbers[number]
		numbers[number] = true
		return again
	})
	body := map[string]any{"ports": ports}
	r.common(body)
	r.maybe(body, "hostnames", func() any {
		hosts := []string{}
		for i := range r.IntN(4) {
			hosts = append(hosts, fmt.Sprintf("h%d-%d.internal", r.index, i))
		}
		return hosts
	})
	r.maybe(body, "defaults", func() any { return r.settings() })
	r.further(body, r.example, "name", "display_name", "labels", "hostnames", "ports", "defaults", "profile", "upstreams")
	return body
}

func (r *random) route() map[string]any {
	body := map[string]any{"priority": 1000*r.index + r.IntN(1000)}
	r.common(body)
	r.maybe(body, "match", func() any {
		var list []any
		for range 1 + r.IntN(3) {
			match := map[string]any{}
			r.maybe(match, "path", func() any { return r.path() })
			r.maybe(match, "methods", func() any { return r.methods() })
			r.maybe(match, "headers", func() any {
				var headers []any
				for range 1 + r.IntN(2) {
					headers = append(headers, r.header())
				}
				return headers
			})
			list = append(list, match)
		}
		return list
	})
	var backends []any
	for _, version := range r.some("v1", "v2", "v3-canary") {
		backends = append(backends, map[string]any{"version": version})
	}
	if r.chance() {
		backends = append(backends, map[string]any{"service": r.one("checkout", "payments")})
	}
	body["backends"] = backends
	r.maybe(body, "settings", func() any { return r.settings() })
	r.further(body, r.example, "name", "display_name", "labels", "priority", "match", "backends", "settings")
	return body
}

func (r *random) profile() map[string]any {
	body := map[string]any{"settings": r.settings()}
	r.common(body)
	r.further(body, r.example, "name", "display_name", "labels", "settings")
	return body
}

func (r *random) split() map[string]any {
	var weights []any
	for i, version := range r.some("v1", "v2", "v3-canary") {
		weight := r.IntN(10_001)
		if i == 0 {
			weight = max(weight, 1)
		}
		weights = append(weights, map[string]any{"version": version, "weight": weight})
	}
	body := map[string]any{"weights": weights}
	r.further(body, r.example, "weights")
	return body
}

func (r *random) accessRule() map[string]any {
	var from []any
	for range 1 + r.IntN(3) {
		if r.chance() {
			from = append(from, map[string]any{"service": r.one("checkout", "payments")})
		} else {
			from = append(from, map[string]any{"spiffe": r.one("spiffe://partner.example/app", "spiffe://a/b/C-1_2.d")})
		}
	}
	body := map[string]any{"action": r.one("allow", "deny"), "from": from}
	r.common(body)
	r.maybe(body, "to", func() any {
		var list []any
		for range 1 + r.IntN(3) {
			target := map[string]any{"methods": r.methods()}
			r.maybe(target, "paths", func() any { return []any{r.path(), r.path()} })
			list = append(list, target)
		}
		return list
	})
	r.maybe(body, "reason", func() any { return r.text() })
	r.further(body, r.example, "name", "display_name", "labels", "action", "from", "to", "reason")
	return body
}

func (r *random) joinToken() map[string]any {
	body := map[string]any{"service": r.one("checkout", "payments")}
	r.maybe(body, "reusable", func() any { return r.chance() })
	r.maybe(body, "expires_in", func() any { return r.one("1m", "60s", "1.5h", "2160h") })
	r.maybe(body, "rotate_before", func() any { return r.one("1ms", "0.5s", "10s") })
	return body
}

func (r *random) serviceAccount() map[string]any {
	body := map[string]any{}
	r.maybe(body, "display_name", func() any { return r.text() })
	return body
}

func (r *random) apiToken() map[string]any {
	body := map[string]any{"service_account": r.one("MESH-a", "MESH-b")}
	r.maybe(body, "scopes", func() any { return r.some("meshes:read", "config:read", "config:write", "proxies:read") })
	r.maybe(body, "meshes", func() any { return r.some("MESH", "MESH-2") })
	if r.chance() {
		r.maybe(body, "expires_in", func() any { return r.one("10m", "600s", "1.5h", "8784h") })
	} else {
		r.maybe(body, "never_expires", func() any { return r.chance() })
	}
	r.maybe(body, "rotate_before", func() any { return r.one("1ms", "0.5s", "10s") })
	r.maybe(body, "overlap", func() any { return r.one("0s", "1.5h", "168h") })
	return body
}

// roleBinding has an account of its own, so that nobody has a role twice.
func (r *random) roleBinding() map[string]any {
	body := map[string]any{"role": r.one("owner", "admin", "operator", "developer", "viewer", "auditor", "issuer")}
	if body["role"] != "owner" {
		r.maybe(body, "mesh", func() any { return r.one("MESH", "MESH-2") })
	}
	if body["role"] == "issuer" && body["mesh"] == "MESH" {
		r.maybe(body, "service", func() any { return r.one("checkout", "payments") })
	}
	return body
}

func (r *random) common(body map[string]any) {
	r.maybe(body, "display_name", func() any { return r.text() })
	r.maybe(body, "labels", func() any { return r.labels() })
}

func (r *random) maybe(body map[string]any, name string, value func() any) {
	if r.chance() {
		body[name] = value()
	}
}

// standing is what random objects stand on.
const standing = `
resource "heddle_mesh" "m" {
  name                = "MESH"
  deletion_protection = false
}
resource "heddle_service" "checkout" {
  mesh  = heddle_mesh.m.name
  name  = "checkout"
  ports = [{ name = "http", port = 8080, protocol = "http" }]
}
resource "heddle_service" "payments" {
  mesh  = heddle_mesh.m.name
  name  = "payments"
  ports = [{ name = "http", port = 8080, protocol = "http" }]
}
`

// accounts are what tokens and roles stand on.
const accounts = `
resource "heddle_mesh" "m" {
  count               = 2
  name                = ["MESH", "MESH-2"][count.index]
  deletion_protection = false
}
resource "heddle_service_account" "ab" {
  count = 2
  name  = ["MESH-a", "MESH-b"][count.index]
}
`

type randomKind struct {
	kind, standing string
	// address is what stands before its own fields.
	address string
	make    func(r *random) map[string]any
}

var randomKinds = []randomKind{
	{kind: "mesh", make: (*random).mesh, address: `name = "MESH-%d"`},
	{kind: "service", standing: standing, make: (*random).service, address: `
  mesh = heddle_mesh.m.name
  name = "s%d"`},
	{kind: "profile", standing: standing, make: (*random).profile, address: `
  mesh = heddle_mesh.m.name
  name = "f%d"`},
	{kind: "route", standing: standing, make: (*random).route, address: `
  mesh    = heddle_mesh.m.name
  service = heddle_service.payments.name
  name    = "r%d"
  depends_on = [heddle_service.checkout, heddle_service.payments]`},
	{kind: "split", make: (*random).split, address: `
  mesh    = heddle_mesh.m.name
  service = heddle_service.payments.name
  route   = heddle_route.base[%d].name`, standing: standing + `
resource "heddle_route" "base" {
  count    = 20
  mesh     = heddle_mesh.m.name
  service  = heddle_service.payments.name
  name     = "r${count.index}"
  priority = count.index
  backends = [{ version = "v1" }]
}
`},
	{kind: "access_rule", standing: standing, make: (*random).accessRule, address: `
  mesh    = heddle_mesh.m.name
  service = heddle_service.payments.name
  name    = "a%d"
  depends_on = [heddle_service.checkout, heddle_service.payments]`},
	{kind: "join_token", standing: standing, make: (*random).joinToken, address: `
  mesh = heddle_mesh.m.name
  name = "t%d"
  depends_on = [heddle_service.checkout, heddle_service.payments]`},
	{kind: "service_account", make: (*random).serviceAccount, address: `name = "MESH-%d"`},
	{kind: "api_token", standing: accounts, make: (*random).apiToken, address: `
  name = "MESH-%d"
  depends_on = [heddle_mesh.m, heddle_service_account.ab]`},
	{kind: "role_binding", make: (*random).roleBinding, address: `
  service_account = heddle_service_account.each[%d].name
  depends_on = [heddle_mesh.m, heddle_service.each]`, standing: accounts + `
resource "heddle_service_account" "each" {
  count = 20
  name  = "MESH-x${count.index}"
}
resource "heddle_service" "each" {
  count = 2
  mesh  = heddle_mesh.m[0].name
  name  = ["checkout", "payments"][count.index]
  ports = [{ name = "http", port = 8080, protocol = "http" }]
}
`},
}

// TestRandomConfigurationsPlanEmpty applies twenty of each kind in one plan and then twenty others over them; the
// framework plans again after each, with and without a refresh, and fails unless there is nothing to do.
func TestRandomConfigurationsPlanEmpty(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("HEDDLE_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	rounds := 1
	if text := os.Getenv("HEDDLE_TEST_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for round := range rounds {
		for i, kind := range randomKinds {
			name := fmt.Sprintf("%s-%d", kind.kind, round)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				t.Logf("HEDDLE_TEST_SEED=%d", seed)
				draw := rand.New(rand.NewPCG(seed, uint64(round*len(randomKinds)+i)))
				mesh := "random-" + dashed(name)
				resource.Test(t, resource.TestCase{
					ProtoV6ProviderFactories: providers,
					CheckDestroy:             gone(t, mesh),
					Steps: []resource.TestStep{
						{Config: kind.configuration(t, mesh, draw)},
						{Config: kind.configuration(t, mesh, draw)},
					},
				})
			})
		}
	}
}

func (k randomKind) configuration(t *testing.T, mesh string, draw *rand.Rand) string {
	t.Helper()
	text := read(t, examples+"/provider/provider.tf") + k.standing
	body := map[string]any{}
	if !slices.Contains([]string{"join_token", "service_account", "api_token", "role_binding"}, k.kind) {
		body = exampleOf(t, k.kind)
	}
	for i := range many {
		r := &random{Rand: draw, example: body, index: i}
		text += fmt.Sprintf("\nresource \"heddle_%s\" \"x%d\" {\n  ", k.kind, i) + fmt.Sprintf(k.address, i) + "\n" + hcl(t, k.make(r)) + "}\n"
	}
	return strings.ReplaceAll(text, "MESH", mesh)
}

// hcl says fields as attributes. JSON is HCL but for the two sequences that begin a template.
func hcl(t *testing.T, body map[string]any) string {
	t.Helper()
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(body)) {
		value, err := json.Marshal(body[name])
		if err != nil {
			t.Fatal(err)
		}
		escaped := strings.NewReplacer("${", "$${", "%{", "%%{").Replace(string(value))
		fmt.Fprintf(&text, "  %s = %s\n", name, escaped)
	}
	return text.String()
}

// exampleOf is the example of the body of a PUT in the document.
func exampleOf(t *testing.T, kind string) map[string]any {
	t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(client.Document, &document); err != nil {
		t.Fatal(err)
	}
	for _, item := range document.Paths {
		var put struct {
			ID   string `json:"operationId"`
			Body struct {
				Content map[string]struct {
					Example  map[string]any `json:"example"`
					Examples map[string]struct {
						Value map[string]any `json:"value"`
					} `json:"examples"`
				} `json:"content"`
			} `json:"requestBody"`
		}
		if json.Unmarshal(item["put"], &put) != nil || put.ID != "put_"+kind {
			continue
		}
		content := put.Body.Content["application/json"]
		for _, example := range content.Examples {
			return example.Value
		}
		return content.Example
	}
	t.Fatalf("the document has no put_%s", kind)
	return nil
}
