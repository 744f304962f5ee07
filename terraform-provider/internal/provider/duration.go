package provider

import (
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

var durationForm = regexp.MustCompile(`^[0-9]{1,9}([.][0-9]{1,9})?(ms|s|m|h)$`)

// parseDuration reads a duration of the API's: a number and one unit.
func parseDuration(text string) (time.Duration, error) {
	if !durationForm.MatchString(text) {
		return 0, errors.New("a number and one unit of `ms`, `s`, `m`, `h`")
	}
	return time.ParseDuration(text)
}

// durationRule checks while planning.
type durationRule struct{}

func (durationRule) Description(context.Context) string {
	return "a number and one unit of `ms`, `s`, `m`, `h`"
}

func (r durationRule) MarkdownDescription(ctx context.Context) string { return r.Description(ctx) }

func (durationRule) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if _, err := parseDuration(req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Not a duration", upperFirst(err.Error())+".")
	}
}
