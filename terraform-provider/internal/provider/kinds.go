package provider

import (
	"context"
	"io"
	"net/http"

	"heddle.example/terraform-provider-heddle/internal/client"
)

// kind is how the API calls one declarative kind.
type kind struct {
	// name of the type after "heddle_".
	name string
	// noun in a sentence.
	noun string
	// about is the first paragraph of its page.
	about string
	// parents are the attributes that say where it lives, outermost first.
	parents []string
	// singleton: its parent has at most one, so it has no name of its own.
	singleton bool
	// body is the operation whose body has its fields.
	body string

	create, read, replace, remove call
}

// call sends one request about the object at a place: the names of its parents and, last, its own.
type call func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error)

const jsonType = "application/json"

// kinds are the declarative kinds.
var kinds = []*kind{mesh, profile, service, route, split, accessRule, serviceAccount}

// find is a kind by its name.
func find(name string) *kind {
	for _, kind := range kinds {
		if kind.name == name {
			return kind
		}
	}
	return nil
}

// places are the names that an address of this kind has after the organisation.
func (k *kind) places() []string {
	if k.singleton {
		return k.parents
	}
	return append(append([]string{}, k.parents...), "name")
}
