package main

import (
	"context"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
)

// acceptClock is the way out of a leap of the clock.
const acceptClock = "sallyport clock accept"

func (a *app) clockCommand() *cobra.Command {
	return group("clock", "Judge the server's clock (operators)", &cobra.Command{
		Use:   "accept",
		Short: "Believe the clock after it leapt ahead: expiry and clean-up go on",
		Args:  cobra.NoArgs,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			return c.AcceptClock(ctx)
		}),
	})
}
