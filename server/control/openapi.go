package control

import (
	_ "embed"

	"github.com/valyala/fasthttp"
)

// document describes the API to programs (OpenAPI 3.1). A test holds it
// against the route table and against what a running server answers.
//
//go:embed openapi.json
var document []byte

func openAPI(k *call) error {
	k.render(fasthttp.StatusOK, jsonType, document)
	return nil
}
