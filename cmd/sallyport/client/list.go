package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// pageSize is the most that the server puts into one page.
const pageSize = 1000

// list follows a list's pages until it has limit elements, or all of them when
// limit is 0. field is where the answer keeps them.
func list[T any](ctx context.Context, c *Client, path, field string, query url.Values, limit int) ([]T, error) {
	elements := []T{}
	if query == nil {
		query = url.Values{}
	}
	for {
		size := pageSize
		if limit > 0 {
			size = min(size, limit-len(elements))
		}
		query.Set("limit", strconv.Itoa(size))
		var answer map[string]json.RawMessage
		if err := c.call(ctx, http.MethodGet, path, query, nil, &answer); err != nil {
			return nil, err
		}
		var page []T
		var next *string
		if err := decodeField(answer, field, &page); err != nil {
			return nil, err
		}
		if raw, ok := answer["next_cursor"]; ok {
			if err := json.Unmarshal(raw, &next); err != nil {
				return nil, fmt.Errorf("the server's next_cursor: %w", err)
			}
		}
		elements = append(elements, page...)
		if next == nil || *next == "" || limit > 0 && len(elements) >= limit {
			return elements, nil
		}
		query.Set("cursor", *next)
	}
}

func decodeField(answer map[string]json.RawMessage, field string, out any) error {
	raw, ok := answer[field]
	if !ok {
		return fmt.Errorf("the server's answer has no %s", field)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("the server's %s: %w", field, err)
	}
	return nil
}
