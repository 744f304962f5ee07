package provider

import (
	"context"
	"io"
	"net/http"

	"heddle.example/terraform-provider-heddle/internal/client"
)

var service = &kind{
	name:    "service",
	noun:    "service",
	about:   "A service: an identity, the hosts that it answers for and the ports where its workloads listen.",
	parents: []string{"mesh"},
	body:    "create_service",
	create: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.CreateServiceWithBody(ctx, c.org, at[0], jsonType, body, edit...)
	},
	read: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.GetService(ctx, c.org, at[0], at[1], edit...)
	},
	replace: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.PutServiceWithBody(ctx, c.org, at[0], at[1], jsonType, body, edit...)
	},
	remove: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.DeleteService(ctx, c.org, at[0], at[1], edit...)
	},
}
