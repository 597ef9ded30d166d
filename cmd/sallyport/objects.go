package main

import (
	"context"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
)

func (a *app) objectsCommand() *cobra.Command {
	var filter client.ObjectFilter
	var limit int
	ls := &cobra.Command{
		Use:   "ls",
		Short: "List objects, newest first",
		Args:  cobra.NoArgs,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			objects, err := c.Objects(ctx, filter, limit)
			if err != nil {
				return err
			}
			rows := make([][]string, len(objects))
			for i, o := range objects {
				rows[i] = []string{o.ObjectID, stateText(o), bytesText(o.Size), o.Profile, stamp(o.CreatedAt), o.Filename}
			}
			return a.table(map[string]any{"objects": objects}, "OBJECT\tSTATE\tSIZE\tPROFILE\tCREATED\tNAME", rows)
		}),
	}
	ls.Flags().StringVar(&filter.Profile, "profile", "", "only those of this profile")
	ls.Flags().StringVar(&filter.State, "state", "", "only those in this state")
	ls.Flags().BoolVar(&filter.Held, "held", false, "only those that wait for review")
	limitFlag(ls, &limit)
	return group("objects", "Show and review objects", ls, a.renditionsCommand(), a.reviewCommand(), a.rescanCommand(), a.givenCommand(), a.examineCommand())
}

// limitFlag gives a list command its --limit.
func limitFlag(command *cobra.Command, limit *int) {
	command.Flags().IntVar(limit, "limit", 100, "how many to list; 0 lists all")
}
