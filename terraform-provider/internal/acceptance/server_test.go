package acceptance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const org = "acme"

// server is a real one, with a PostgreSQL of its own.
type server struct {
	process *exec.Cmd
	ended   chan error
	log     string
	url     string
	token   string
}

// heddled is the binary that is tested against.
func heddled() string { return tool("HEDDLE_TEST_HEDDLED", "target/debug/heddled") }

// tofu is what drives the provider.
func tofu() string { return tool("HEDDLE_TEST_TERRAFORM", ".tools/tofu/tofu") }

// tool is a path from the environment, or else in the repository.
func tool(variable, inside string) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := filepath.Abs(filepath.Join("../../..", inside))
	if err != nil {
		panic(err)
	}
	return path
}

func startServer(directory string) (*server, error) {
	s := &server{log: filepath.Join(directory, "up.log"), ended: make(chan error, 1)}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	data, ready := filepath.Join(directory, "data"), filepath.Join(directory, "ready.json")
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.process = exec.Command(heddled(), "up", "--stop-with-parent", "--data-dir", data, "--ready-file", ready,
		"--api-listen", ports[0], "--xds-listen", ports[1])
	s.process.Env = withoutDatabase()
	s.process.Stdout, s.process.Stderr = log, log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("start heddled: %w", err)
	}
	go func() { s.ended <- s.process.Wait() }()
	if err := s.untilReady(ready); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if err := s.createOrg(filepath.Join(data, "run")); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *server) untilReady(ready string) error {
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		var facts struct {
			API string `json:"api"`
		}
		if text, err := os.ReadFile(ready); err == nil && json.Unmarshal(text, &facts) == nil && facts.API != "" {
			s.url = facts.API
			return nil
		}
		select {
		case err := <-s.ended:
			s.ended <- err
			text, _ := os.ReadFile(s.log)
			return fmt.Errorf("heddled ended (%v):\n%s", err, text)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("heddled is not ready after 2 minutes")
}

func (s *server) createOrg(socket string) error {
	database := "postgres:///heddle?host=" + strings.ReplaceAll(socket, "/", "%2F") + "&user=heddle_server"
	command := exec.Command(heddled(), "admin", "org", "create", org, "--json")
	command.Env = append(withoutDatabase(), "DATABASE_URL="+database)
	text, err := command.Output()
	if err != nil {
		var failed *exec.ExitError
		errors.As(err, &failed)
		return fmt.Errorf("heddled admin org create: %w: %s", err, failed.Stderr)
	}
	var made struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(text, &made); err != nil {
		return err
	}
	s.token = made.Token
	return nil
}

// stop asks it to end, and everything that it started with it.
func (s *server) stop() error {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-s.ended:
		return err
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("heddled did not end"), s.process.Process.Kill())
	}
}

func withoutDatabase() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "DATABASE_URL=") && !strings.HasPrefix(variable, "HEDDLE_MIGRATE_DATABASE_URL=") {
			kept = append(kept, variable)
		}
	}
	return kept
}

func freePorts(count int) ([]string, error) {
	var addresses []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}

// api does something behind Terraform's back; path is below the organisation.
func (s *server) api(t *testing.T, method, path string, body any) (int, map[string]any) {
	t.Helper()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+"/v1/orgs/"+org+"/"+path, sent)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	_ = json.NewDecoder(response.Body).Decode(&answer)
	return response.StatusCode, answer
}

// change reads an object, changes it and writes it.
func (s *server) change(t *testing.T, path string, change func(map[string]any)) {
	t.Helper()
	_, object := s.api(t, "GET", path, nil)
	delete(object, "meta")
	delete(object, "status")
	change(object)
	if status, answer := s.api(t, "PUT", path, object); status != http.StatusOK {
		t.Fatalf("PUT %s: %d %v", path, status, answer)
	}
}
