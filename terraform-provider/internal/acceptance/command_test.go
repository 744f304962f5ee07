package acceptance

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheBuiltProviderRunsTheExamples does what a user does: the built binary, all examples in one folder, the command
// line of Terraform.
func TestTheBuiltProviderRunsTheExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(examples + "/*/*/*.tf")
	if err != nil || len(files) < 13 {
		t.Fatalf("%d examples (%v)", len(files), err)
	}
	text := read(t, filepath.Join(examples, "provider/provider.tf"))
	for _, file := range files {
		text += "\n" + read(t, file)
	}
	run := commandLine(t, text)
	run(0, "fmt", "-check")
	run(0, "apply", "-auto-approve", "-input=false")
	run(0, "plan", "-detailed-exitcode", "-input=false")
	if shown := run(0, "show"); regexp.MustCompile(`secret\s+= "`).MatchString(shown) {
		t.Errorf("a secret is shown:\n%s", shown)
	}
	run(0, "destroy", "-auto-approve", "-input=false")
}

// TestWhatIsExportedIsImportedAsItIs has the command line write down a mesh that Terraform has never heard of.
func TestWhatIsExportedIsImportedAsItIs(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("long/", 30)
	for _, one := range []struct {
		path string
		body map[string]any
	}{
		{"meshes/exported", map[string]any{"labels": map[string]any{"tier": "1"}, "deletion_protection": false, "access_default": "deny",
			"defaults": map[string]any{"timeout": "15s", "retries": map[string]any{"attempts": 2, "on": []string{"connect_failure"}}}}},
		{"meshes/exported/profiles/back-end", map[string]any{"settings": map[string]any{"timeout": "3s"}}},
		{"meshes/exported/services/checkout", map[string]any{"ports": []any{map[string]any{"name": "http", "port": 8080, "protocol": "http"}}}},
		{"meshes/exported/services/payments", map[string]any{"profile": "back-end", "display_name": "Pay ${now} \"%{here}\"",
			"labels": map[string]any{"team.example/name": "pay"}, "hostnames": []string{"payments.internal"},
			"upstreams": []any{map[string]any{"service": "checkout"}},
			"ports":     []any{map[string]any{"name": "http", "port": 8080, "protocol": "http", "mtls": "strict"}}}},
		{"meshes/exported/services/payments/routes/all", map[string]any{"priority": 1000, "backends": []any{map[string]any{"version": "v1"}, map[string]any{"version": "v2"}}}},
		{"meshes/exported/services/payments/routes/some", map[string]any{"priority": 10, "backends": []any{map[string]any{"version": "v1"}},
			"match": []any{map[string]any{"path": map[string]any{"prefix": long}, "methods": []string{"POST"},
				"headers": []any{map[string]any{"name": "x-beta", "exact": "1"}}}}}},
		{"meshes/exported/services/payments/routes/all/split", map[string]any{"weights": []any{map[string]any{"version": "v1", "weight": 90}, map[string]any{"version": "v2", "weight": 10}}}},
		{"meshes/exported/services/payments/access-rules/may", map[string]any{"action": "allow", "reason": "PAY-1", "from": []any{map[string]any{"service": "checkout"}},
			"to": []any{map[string]any{"methods": []string{"GET", "POST"}, "paths": []any{map[string]any{"prefix": long}}}}}},
	} {
		if status, answer := heddle.api(t, "PUT", one.path, one.body); status != http.StatusCreated {
			t.Fatalf("PUT %s: %d %v", one.path, status, answer)
		}
	}
	export := exec.Command(tool("HEDDLE_TEST_CLI", "target/debug/heddle"), "export", "exported", "-o", "hcl")
	export.Env = append(os.Environ(), "HEDDLE_SERVER="+heddle.url, "HEDDLE_CONFIG_DIR="+t.TempDir())
	hcl, err := export.Output()
	if err != nil {
		t.Fatal(err)
	}
	run := commandLine(t, read(t, filepath.Join(examples, "provider/provider.tf"))+"\n"+string(hcl))
	if output := run(0, "fmt", "-check", "-diff"); output != "" {
		t.Error(output)
	}
	if plan := run(0, "plan", "-input=false", "-no-color"); !strings.Contains(plan, "Plan: 8 to import, 0 to add, 0 to change, 0 to destroy.") {
		t.Errorf("%s\n%s", plan, hcl)
	}
	run(0, "apply", "-auto-approve", "-input=false")
	run(0, "plan", "-detailed-exitcode", "-input=false")
	// The order in which things go is that of the references.
	run(0, "destroy", "-auto-approve", "-input=false")
	if status, _ := heddle.api(t, "GET", "meshes/exported", nil); status != http.StatusNotFound {
		t.Errorf("the mesh is still there: %d", status)
	}
}

// commandLine is that of Terraform, in a folder with this configuration and the built provider. It is told which exit code is wanted.
func commandLine(t *testing.T, configured string) func(int, ...string) string {
	t.Helper()
	directory := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(directory, "bin", "terraform-provider-heddle"), ".")
	build.Dir = "../.."
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	configuration := "provider_installation {\n  dev_overrides {\n    \"heddle.example/heddle/heddle\" = \"" + directory + "/bin\"\n  }\n  direct {}\n}\n"
	for name, content := range map[string]string{"main.tf": configured, "terraform.rc": configuration} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return func(want int, args ...string) string {
		t.Helper()
		command := exec.Command(tofu(), args...)
		command.Dir = directory
		command.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+filepath.Join(directory, "terraform.rc"))
		output, err := command.CombinedOutput()
		code := 0
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			code = failed.ExitCode()
		}
		if code != want {
			t.Fatalf("tofu %s: exit code %d\n%s", strings.Join(args, " "), code, output)
		}
		return string(output)
	}
}
