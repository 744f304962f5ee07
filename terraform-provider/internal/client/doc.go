// Package client calls the API. All of it but this file is generated from the OpenAPI document by `go generate`.
package client

import _ "embed" // for the document

//go:generate go run ../generate -document ../../../api/openapi.json -out .

// Document is the OpenAPI document that the client was generated from.
//
//go:embed openapi.gen.json
var Document []byte
