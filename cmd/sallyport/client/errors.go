package client

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Error is a refusal by the server, from either port.
type Error struct {
	Status    int    `json:"status,omitempty"`
	Code      string `json:"code" xml:"Code"`
	Message   string `json:"message" xml:"Message"`
	RequestID string `json:"request_id,omitempty" xml:"RequestId"`
}

func (e *Error) Error() string {
	text := e.Code + ": " + e.Message
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// readError understands JSON (control port), XML (S3 port) and, from whatever
// stands between, nothing: then the status speaks.
func readError(answer *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10)) // a torn answer still has its status
	e := &Error{Status: answer.StatusCode}
	if json.Unmarshal(body, e) != nil || e.Code == "" {
		_ = xml.Unmarshal(body, e)
	}
	e.Status = answer.StatusCode
	e.Code = cmp.Or(e.Code, fmt.Sprintf("HTTP_%d", answer.StatusCode))
	e.Message = cmp.Or(e.Message, strings.ToLower(http.StatusText(answer.StatusCode)))
	e.RequestID = cmp.Or(e.RequestID, answer.Header.Get("X-Request-Id"), answer.Header.Get("X-Amz-Request-Id"))
	return e
}
