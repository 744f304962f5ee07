package acceptance

import (
	"errors"
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
	directory := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(directory, "bin", "terraform-provider-heddle"), ".")
	build.Dir = "../.."
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	files, err := filepath.Glob(examples + "/*/*/*.tf")
	if err != nil || len(files) < 13 {
		t.Fatalf("%d examples (%v)", len(files), err)
	}
	text := read(t, filepath.Join(examples, "provider/provider.tf"))
	for _, file := range files {
		text += "\n" + read(t, file)
	}
	configuration := "provider_installation {\n  dev_overrides {\n    \"heddle.example/heddle/heddle\" = \"" + directory + "/bin\"\n  }\n  direct {}\n}\n"
	for name, content := range map[string]string{"main.tf": text, "terraform.rc": configuration} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(want int, args ...string) string {
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
	run(0, "fmt", "-check")
	run(0, "apply", "-auto-approve", "-input=false")
	run(0, "plan", "-detailed-exitcode", "-input=false")
	if shown := run(0, "show"); regexp.MustCompile(`secret\s+= "`).MatchString(shown) {
		t.Errorf("a secret is shown:\n%s", shown)
	}
	run(0, "destroy", "-auto-approve", "-input=false")
}
