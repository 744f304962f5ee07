package provider

import (
	"context"
	"io"
	"net/http"

	"heddle.example/terraform-provider-heddle/internal/client"
)

var accessRule = &kind{
	name:    "access_rule",
	noun:    "access rule",
	about:   "A rule about who may call a service. Deny wins over every allow; what no rule matches is up to the mesh's `access_default`.",
	parents: []string{"mesh", "service"},
	body:    "create_access_rule",
	create: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.CreateAccessRuleWithBody(ctx, c.org, at[0], at[1], jsonType, body, edit...)
	},
	read: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.GetAccessRule(ctx, c.org, at[0], at[1], at[2], edit...)
	},
	replace: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.PutAccessRuleWithBody(ctx, c.org, at[0], at[1], at[2], jsonType, body, edit...)
	},
	remove: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.DeleteAccessRule(ctx, c.org, at[0], at[1], at[2], edit...)
	},
}
