package provider

import (
	"context"
	"io"
	"net/http"

	"heddle.example/terraform-provider-heddle/internal/client"
)

var profile = &kind{
	name:    "profile",
	noun:    "profile",
	about:   "A profile: settings with a name, which a service refers to by its `profile`. They stand between the mesh's `defaults` and the service's own.",
	parents: []string{"mesh"},
	body:    "create_profile",
	create: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.CreateProfileWithBody(ctx, c.org, at[0], jsonType, body, edit...)
	},
	read: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.GetProfile(ctx, c.org, at[0], at[1], edit...)
	},
	replace: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.PutProfileWithBody(ctx, c.org, at[0], at[1], jsonType, body, edit...)
	},
	remove: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.DeleteProfile(ctx, c.org, at[0], at[1], edit...)
	},
}
