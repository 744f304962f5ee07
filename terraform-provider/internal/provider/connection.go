package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"heddle.example/terraform-provider-heddle/internal/client"
)

// How long a change waits for what another change of the same apply may be giving up right now.
const patience = 10 * time.Second

// connection is the API as one caller sees it.
type connection struct {
	api *client.Client
	// org as it stands in paths: a name, or "-" for the token's own.
	org string
	// own asks once what the organisation is called.
	own func(context.Context) (*whoami, error)
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	etag   string
	raw    []byte
	// body is nil when there is none; its numbers are json.Number.
	body map[string]any
}

func connect(address, token, org, version string) (*connection, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("%q is not the address of an API", address)
	}
	identify := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("User-Agent", "terraform-provider-heddle/"+version)
		return nil
	}
	api, err := client.NewClient(address,
		client.WithHTTPClient(&http.Client{Timeout: time.Minute}),
		client.WithRequestEditorFn(identify))
	if err != nil {
		return nil, err
	}
	c := &connection{api: api, org: org}
	var once sync.Mutex
	var known *whoami
	c.own = func(ctx context.Context) (*whoami, error) {
		once.Lock()
		defer once.Unlock()
		if known != nil {
			return known, nil
		}
		answer, err := c.send(ctx, func() (*http.Response, error) { return c.api.GetWhoami(ctx) })
		if err != nil {
			return nil, err
		}
		var me whoami
		if err := json.Unmarshal(answer.raw, &me); err != nil {
			return nil, fmt.Errorf("read who the token is: %w", err)
		}
		known = &me
		return known, nil
	}
	return c, nil
}

// orgName is the organisation by name, also when paths say "-".
func (c *connection) orgName(ctx context.Context) (string, error) {
	if c.org != "-" {
		return c.org, nil
	}
	me, err := c.own(ctx)
	if err != nil {
		return "", err
	}
	return me.Org.Name, nil
}

// send calls until there is an answer that is worth having: not while the server asks to come back later, nor while a
// name or number is taken that another change of the same apply may be giving up.
func (c *connection) send(ctx context.Context, call func() (*http.Response, error)) (*reply, error) {
	begun := time.Now()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		response, err := call()
		if err != nil {
			return nil, err
		}
		answer, problem, err := read(response)
		if err != nil {
			return nil, err
		}
		if problem == nil {
			return answer, nil
		}
		wait := pause
		if after, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
			wait = time.Duration(after) * time.Second
		}
		if !problem.passes() || time.Since(begun)+wait > patience {
			return nil, problem
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func read(response *http.Response) (*reply, *problem, error) {
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	if response.StatusCode >= 300 {
		return nil, parseProblem(response, raw), nil
	}
	answer := &reply{status: response.StatusCode, etag: response.Header.Get("ETag"), raw: raw}
	if len(raw) > 0 && raw[0] == '{' {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&answer.body); err != nil {
			return nil, nil, fmt.Errorf("read the answer: %w", err)
		}
	}
	return answer, nil, nil
}

// header sets a header of a request.
func header(name, value string) client.RequestEditorFn {
	return func(_ context.Context, request *http.Request) error {
		request.Header.Set(name, value)
		return nil
	}
}

// query sets parameters of a request.
func query(values url.Values) client.RequestEditorFn {
	return func(_ context.Context, request *http.Request) error {
		request.URL.RawQuery = values.Encode()
		return nil
	}
}
