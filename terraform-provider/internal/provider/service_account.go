package provider

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"heddle.example/terraform-provider-heddle/internal/client"
)

var serviceAccount = &kind{
	name:  "service_account",
	noun:  "service account",
	about: "A program that calls the API. It may do nothing until a `heddle_role_binding` gives it a role, and calls with a `heddle_api_token`. What is its own goes with it: roles and tokens.",
	body:  "create_service_account",
	create: func(ctx context.Context, c *connection, _ []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.CreateServiceAccountWithBody(ctx, c.org, jsonType, body, edit...)
	},
	read: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.GetServiceAccount(ctx, c.org, at[0], edit...)
	},
	// There is no PUT: what people call it is all that changes, and what is absent is taken away by null.
	replace: func(ctx context.Context, c *connection, at []string, body io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		var wanted struct {
			DisplayName *string `json:"display_name"`
		}
		if err := json.NewDecoder(body).Decode(&wanted); err != nil {
			return nil, err
		}
		return c.api.PatchServiceAccountWithBody(ctx, c.org, at[0], jsonType, jsonBody(wanted), edit...)
	},
	remove: func(ctx context.Context, c *connection, at []string, _ io.Reader, edit ...client.RequestEditorFn) (*http.Response, error) {
		return c.api.DeleteServiceAccount(ctx, c.org, at[0], edit...)
	},
}
