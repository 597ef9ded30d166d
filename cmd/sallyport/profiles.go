package main

import (
	"cmp"
	"context"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
)

func (a *app) profileCommand() *cobra.Command {
	ls := &cobra.Command{
		Use: "ls", Short: "List profiles", Args: cobra.NoArgs,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			profiles, err := c.Profiles(ctx)
			if err != nil {
				return err
			}
			return a.profileTable(map[string]any{"profiles": profiles}, profiles...)
		}),
	}
	return group("profile", "Manage profiles, the policies of uploads", ls, a.profileSetCommand())
}

func (a *app) profileTable(v any, profiles ...client.Profile) error {
	rows := make([][]string, len(profiles))
	for i, p := range profiles {
		size := "default"
		if p.MaxSize > 0 {
			size = bytesText(p.MaxSize)
		}
		rows[i] = []string{p.Name, p.Intake, cmp.Or(strings.Join(p.AllowedTypes, ","), "any"), size, cmp.Or(p.SessionTTL, "default"), p.CreatedAt}
	}
	return a.table(v, "PROFILE\tINTAKE\tTYPES\tMAX SIZE\tSESSION\tCREATED", rows)
}
