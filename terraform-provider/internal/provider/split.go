package provider

import (
	"context"
	"io"
	"net/http"

	"heddle.example/terraform-provider-heddle/internal/client"
)

var split = &kind{
	name:      "split",
	noun:      "split",
	about:     "How the requests of a route are shared between versions. Leave this resource out to turn weights elsewhere, by hand or by a canary: the route does not own them.",
	parents:   []string{"mesh", "service", "route"},
	singleton: true,
	body:      "put_split",
	// There is no POST for what has no name of its own; this creates, and never replaces.
	create: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.PutSplitWithBody(ctx, c.org, at[0], at[1], at[2], jsonType, body, append(edit, header("If-None-Match", "*"))...)
	},
	read: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.GetSplit(ctx, c.org, at[0], at[1], at[2], edit...)
	},
	replace: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.PutSplitWithBody(ctx, c.org, at[0], at[1], at[2], jsonType, body, edit...)
	},
	remove: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.DeleteSplit(ctx, c.org, at[0], at[1], at[2], edit...)
	},
}
