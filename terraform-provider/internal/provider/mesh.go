package provider

import (
	"context"
	"io"
	"net/http"

	"heddle.example/terraform-provider-heddle/internal/client"
)

var mesh = &kind{
	name:  "mesh",
	noun:  "mesh",
	about: "A mesh: one trust domain, one namespace of services, one sequence of revisions. It is protected from deletion unless `deletion_protection` is `false`: apply that first, then destroy.",
	body:  "create_mesh",
	create: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.CreateMeshWithBody(ctx, c.org, jsonType, body, edit...)
	},
	read: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.GetMesh(ctx, c.org, at[0], edit...)
	},
	replace: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.PutMeshWithBody(ctx, c.org, at[0], jsonType, body, edit...)
	},
	remove: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.DeleteMesh(ctx, c.org, at[0], edit...)
	},
}
