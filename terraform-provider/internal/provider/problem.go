package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"heddle.example/terraform-provider-heddle/internal/client"
	"heddle.example/terraform-provider-heddle/internal/wire"
)

// Codes that the provider acts on. `GET /v1/codes/{code}` explains every code.
const (
	codeAlreadyExists = "HED-2005"
	codePriorityTaken = "HED-2006"
	codeProtected     = "HED-2007"
	codeHostTaken     = "HED-2008"
	codeTooMany       = "HED-2041"
)

// problem is a refusal (RFC 9457).
type problem struct {
	client.Problem
}

func parseProblem(response *http.Response, raw []byte) *problem {
	var parsed problem
	err := json.Unmarshal(raw, &parsed.Problem)
	if err != nil || parsed.Code == "" {
		parsed.Title = http.StatusText(response.StatusCode)
		parsed.Detail = "The answer is not one of Heddle's. Is there a proxy in between, or is `api_url` not the address of Heddle?"
	}
	parsed.Status = response.StatusCode
	return &parsed
}

// Error says it in one line.
func (p *problem) Error() string {
	text := fmt.Sprintf("%s: %s", p.Title, p.Detail)
	if p.Code != "" {
		text += " (" + p.Code + ")"
	}
	return text
}

// passes says whether the same request may succeed a moment later.
func (p *problem) passes() bool {
	switch p.Code {
	case codePriorityTaken, codeHostTaken, codeTooMany:
		return true
	default:
		return p.Status == http.StatusTooManyRequests && p.Code == "" || p.Status == http.StatusServiceUnavailable
	}
}

func asProblem(err error) *problem {
	var found *problem
	errors.As(err, &found)
	return found
}

func isNotFound(err error) bool {
	found := asProblem(err)
	return found != nil && found.Status == http.StatusNotFound
}

// report adds what went wrong: every violation at the attribute that it is about.
func report(diagnostics *diag.Diagnostics, doing string, err error, body tftypes.Type) {
	found := asProblem(err)
	if found == nil {
		diagnostics.AddError("Cannot "+doing, err.Error())
		return
	}
	summary := fmt.Sprintf("Cannot %s: %s", doing, lowerFirst(found.Title))
	if found.Errors == nil || len(*found.Errors) == 0 {
		diagnostics.AddError(summary, found.text(found.Detail, found.Code, ""))
		return
	}
	for _, violation := range *found.Errors {
		hint := ""
		if violation.Hint != nil {
			hint = *violation.Hint
		}
		text := found.text(violation.Detail, violation.Code, hint)
		if at := wire.Path(violation.Pointer, body); len(at.Steps()) > 0 {
			diagnostics.AddAttributeError(at, summary, text)
		} else {
			diagnostics.AddError(summary, text)
		}
	}
}

func (p *problem) text(detail, code, hint string) string {
	lines := []string{upperFirst(detail) + "."}
	if hint != "" {
		lines = append(lines, upperFirst(hint)+".")
	}
	if code != "" {
		lines = append(lines, "", "Code: "+code)
	}
	if p.RequestId != "" {
		lines = append(lines, "Request: "+p.RequestId)
	}
	return strings.Join(lines, "\n")
}

func upperFirst(text string) string {
	text = strings.TrimSuffix(text, ".")
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func lowerFirst(text string) string {
	if text == "" {
		return text
	}
	return strings.ToLower(text[:1]) + text[1:]
}
