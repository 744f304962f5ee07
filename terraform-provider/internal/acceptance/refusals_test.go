package acceptance

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
)

// TestRefusalsSayWhatToDo makes every refusal that a user meets.
func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	mesh := "refusals"
	good := example(t, mesh, "mesh", "service", "route")
	refused := func(old, with, want string) resource.TestStep {
		return resource.TestStep{Config: edit(t, good, old, with), ExpectError: regexp.MustCompile(want)}
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             gone(t, mesh),
		Steps: []resource.TestStep{
			// Before anything is sent.
			refused(`protocol = "grpc"`, `protocol = "smtp"`, `(?s)Invalid Attribute Value Match.*ports\[1\]\.protocol`),
			refused(`priority = 100`+"\n", `priority = -1`+"\n", `(?s)priority.*must be at least 0`),
			refused(`"payments.internal"`, `"Payments.internal"`, `(?s)hostnames\[0\]`),
			refused(`display_name = "Payments"`, `displayname = "Payments"`, `(?s)displayname`),
			{Config: good},
			// The server's sentence, at the attribute that it is about: the line of the configuration is named.
			refused(`{ name = "grpc", port = 9090, protocol = "grpc" },`, `{ name = "http", port = 9090, protocol = "grpc" },`,
				`(?s)Cannot replace the service: invalid.*with heddle_service\.payments.*HED-1009`),
			refused(`path    = { prefix = "/v1/charges" }`, `path = { prefix = "/v1", exact = "/v1" }`,
				`(?s)Cannot replace the route: invalid.*Exactly one of.*HED-1008`),
			// Two routes with one priority: it waits a little, for the other might be moving away.
			refused(`priority = 1000`+"\n", `priority = 100`+"\n", `(?s)[Pp]riority taken`),
			{Config: good, PlanOnly: true},
		},
	})
}

// TestCreatingNeverOverwrites finds objects that are there already, and imports them as the message says.
func TestCreatingNeverOverwrites(t *testing.T) {
	t.Parallel()
	mesh := "taken"
	put := func(path string, body map[string]any) {
		if status, answer := heddle.api(t, "PUT", path, body); status != http.StatusCreated {
			t.Fatalf("PUT %s: %d %v", path, status, answer)
		}
	}
	put("meshes/taken", map[string]any{"deletion_protection": false, "display_name": "By hand"})
	service := map[string]any{"ports": []any{map[string]any{"name": "http", "port": 80, "protocol": "http"}}}
	put("meshes/taken/services/payments", service)
	put("meshes/taken/services/payments/routes/all", map[string]any{"priority": 1, "backends": []any{map[string]any{"version": "v1"}}})
	put("meshes/taken/services/payments/routes/all/split", map[string]any{"weights": []any{map[string]any{"version": "v1", "weight": 1}}})
	everything := example(t, mesh, "mesh", "service", "route", "split")
	imports := func(kind, label, id string) string {
		return fmt.Sprintf("\nimport {\n  to = heddle_%s.%s\n  id = \"%s/%s\"\n}\n", kind, label, org, id)
	}
	blocks := []string{
		imports("mesh", "prod", "taken"),
		imports("service", "payments", "taken/payments"),
		imports("route", "all", "taken/payments/all"),
		imports("split", "all", "taken/payments/all"),
	}
	said := func(kind, id string) *regexp.Regexp {
		return regexp.MustCompile(fmt.Sprintf(`(?s)Exists already: .*import \{.*to = heddle_%s\..*id = "%s/%s"`, kind, org, id))
	}
	_, hand := heddle.api(t, "GET", "meshes/taken", nil)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             gone(t, mesh),
		Steps: []resource.TestStep{
			{Config: everything, ExpectError: said("mesh", "taken")},
			{
				PreConfig: func() {
					if _, now := heddle.api(t, "GET", "meshes/taken", nil); fmt.Sprint(now) != fmt.Sprint(hand) {
						t.Errorf("a refused creation changed %v to %v", hand, now)
					}
				},
				Config: everything + blocks[0], ExpectError: said("service", "taken/payments"),
			},
			{Config: everything + strings.Join(blocks[:2], ""), ExpectError: said("route", "taken/payments/all")},
			{Config: everything + strings.Join(blocks[:3], ""), ExpectError: said("split", "taken/payments/all")},
			{Config: everything + strings.Join(blocks, "")},
		},
	})
}

// TestProtectedMeshesStay destroys a mesh that does not allow it, and then allows it.
func TestProtectedMeshesStay(t *testing.T) {
	t.Parallel()
	mesh := "protected"
	open := example(t, mesh, "mesh")
	protected := edit(t, open, "deletion_protection = false", "")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             gone(t, mesh),
		Steps: []resource.TestStep{
			{Config: protected},
			{Config: protected, Destroy: true, ExpectError: regexp.MustCompile(`(?s)Protected: mesh protected.*deletion_protection = false`)},
			{Config: open, ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction("heddle_mesh.prod", plancheck.ResourceActionUpdate)}}},
		},
	})
}

// TestParentsMayGoFirst destroys what others belong to before them.
func TestParentsMayGoFirst(t *testing.T) {
	t.Parallel()
	mesh := "order"
	created := example(t, mesh, "mesh", "service", "route", "split", "access_rule", "join_token",
		"service_account", "role_binding", "api_token")
	// The same objects, without a reference from one to another: nothing says any more who goes first.
	loose := strings.NewReplacer(
		"heddle_mesh.prod.name", `"order"`,
		"heddle_service.payments.name", `"payments"`,
		"heddle_service.checkout.name", `"checkout"`,
		"heddle_route.all.name", `"all"`,
		"heddle_service_account.deployer.name", `"order-deployer"`,
	).Replace(created)
	from := strings.Index(loose, `resource "heddle_mesh"`)
	to := strings.Index(loose, `resource "heddle_service" "checkout"`)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             accountsGone(t, mesh),
		Steps: []resource.TestStep{
			{Config: created},
			{Config: loose},
			// The mesh goes, and everything in it.
			{Config: loose[:from] + loose[to:], ExpectNonEmptyPlan: true},
			{Config: created},
			{Config: loose},
			// Then the framework destroys all of them at once.
		},
	})
}

// TestNamesAreChosenOnce renames: a new object, never the same one.
func TestNamesAreChosenOnce(t *testing.T) {
	t.Parallel()
	mesh := "names"
	created := example(t, mesh, "mesh", "service", "route", "split")
	renamed := edit(t, created, `name     = "charges"`, `name     = "charging"`)
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             gone(t, mesh),
		Steps: []resource.TestStep{
			{Config: created},
			{Config: renamed, ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction("heddle_route.charges", plancheck.ResourceActionDestroyBeforeCreate)}}},
		},
	})
}

// TestPrioritiesMoveInOneApply gives one route the priority that another one leaves in the same apply.
func TestPrioritiesMoveInOneApply(t *testing.T) {
	t.Parallel()
	mesh := "priorities"
	created := example(t, mesh, "mesh", "service", "route")
	moved := edit(t, edit(t, created, "priority = 1000\n", "priority = 2000\n"), "priority = 100\n", "priority = 1000\n")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: providers,
		CheckDestroy:             gone(t, mesh),
		Steps:                    []resource.TestStep{{Config: created}, {Config: moved}},
	})
}
