package client

import (
	"context"
	"net/http"
)

// AcceptClock says that the server's wall clock is right although it leapt ahead;
// operators only.
func (c *Client) AcceptClock(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/system/clock/accept", nil, nil, nil)
}
