package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"github.com/hashicorp/terraform-plugin-framework/diag"
)

// private is where a resource keeps what users do not see.
type private interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
	SetKey(ctx context.Context, key string, value []byte) diag.Diagnostics
}

func keepText(ctx context.Context, private private, key, text string) diag.Diagnostics {
	encoded, err := json.Marshal(text)
	if err != nil {
		return nil
	}
	return private.SetKey(ctx, key, encoded)
}

// keptText is empty when nothing was kept.
func keptText(ctx context.Context, private private, key string) string {
	var text string
	if encoded, diags := private.GetKey(ctx, key); !diags.HasError() && encoded != nil {
		_ = json.Unmarshal(encoded, &text)
	}
	return text
}

// jsonBody is a body of fields that always have a JSON form.
func jsonBody(value any) io.Reader {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return bytes.NewReader(encoded)
}
