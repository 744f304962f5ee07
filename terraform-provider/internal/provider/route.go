package provider

import (
	"context"
	"io"
	"net/http"

	"heddle.example/terraform-provider-heddle/internal/client"
)

var route = &kind{
	name:    "route",
	noun:    "route",
	about:   "A route: which of a service's requests it takes, and where they go. Routes are tried by `priority`, the lowest first; without `match` a route takes every request.",
	parents: []string{"mesh", "service"},
	body:    "create_route",
	create: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.CreateRouteWithBody(ctx, c.org, at[0], at[1], jsonType, body, edit...)
	},
	read: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.GetRoute(ctx, c.org, at[0], at[1], at[2], edit...)
	},
	replace: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.PutRouteWithBody(ctx, c.org, at[0], at[1], at[2], jsonType, body, edit...)
	},
	remove: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.DeleteRoute(ctx, c.org, at[0], at[1], at[2], edit...)
	},
}
