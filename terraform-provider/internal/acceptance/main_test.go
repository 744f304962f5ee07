// Package acceptance drives the provider with a real Terraform (OpenTofu) against a real server.
//
// Without TF_ACC nothing here runs. `make test-terraform` sets it; HEDDLE_TEST_HEDDLED and HEDDLE_TEST_TERRAFORM name
// other binaries than the repository's.
package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"heddle.example/terraform-provider-heddle/internal/provider"
)

// heddle is the server of this run.
var heddle *server

// providers run inside the test.
var providers = map[string]func() (tfprotov6.ProviderServer, error){
	"heddle": providerserver.NewProtocol6WithError(provider.New("test")()),
}

func TestMain(m *testing.M) {
	if os.Getenv("TF_ACC") == "" {
		fmt.Println("TF_ACC is not set: no acceptance tests")
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	directory, err := os.MkdirTemp("", "heddle-tf-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(directory)
	// The server changes its user when it runs as root, which must be able to come here.
	if err := os.Chmod(directory, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	heddle, err = startServer(directory)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	configuration := filepath.Join(directory, "terraform.rc")
	if err := os.WriteFile(configuration, nil, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for variable, value := range map[string]string{
		"HEDDLE_API_URL":            heddle.url,
		"HEDDLE_TOKEN":              heddle.token,
		"HEDDLE_ORG":                "",
		"CHECKPOINT_DISABLE":        "1",
		"TF_CLI_CONFIG_FILE":        configuration,
		"TF_ACC_TERRAFORM_PATH":     tofu(),
		"TF_ACC_PROVIDER_HOST":      "heddle.example",
		"TF_ACC_PROVIDER_NAMESPACE": "heddle",
	} {
		os.Setenv(variable, value)
	}
	code := m.Run()
	if err := heddle.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "heddled:", err)
		code = 1
	}
	return code
}
