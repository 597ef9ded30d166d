package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
)

func (a *app) reviewCommand() *cobra.Command {
	var r client.Ruling
	command := &cobra.Command{
		Use:   "review OBJECT_ID",
		Short: "Release, reject or confirm what inspection held or rejected (analysts)",
		Args:  cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			o, err := c.Review(ctx, args[0], r)
			if err != nil {
				return err
			}
			return a.showObject(o)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&r.Decision, "decision", "", "release, reject or confirm")
	flags.StringVar(&r.Reason, "reason", "", "why, as a code that the audit log keeps, e.g. false_positive")
	flags.StringVar(&r.Note, "note", "", "why, in words, for other analysts")
	_ = command.MarkFlagRequired("decision") // fails only for a flag that is not there
	_ = command.MarkFlagRequired("reason")
	return command
}

func (a *app) rescanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rescan OBJECT_ID",
		Short: "Have an object inspected again; what is published stays so meanwhile",
		Args:  cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			o, err := c.Rescan(ctx, args[0])
			if err != nil {
				return err
			}
			return a.showObject(o)
		}),
	}
}

// showObject writes one object's line.
func (a *app) showObject(o client.Object) error {
	if a.json {
		return a.writeJSON(o)
	}
	state := stateText(o)
	switch {
	case o.Proposal != nil:
		state += ", its release is proposed by " + o.Proposal.By
	case o.Rescanning:
		state += ", in the queue"
	}
	a.printf("%s  %s  %s  %s\n", o.ObjectID, oneLine(state), bytesText(o.Size), oneLine(o.Filename))
	return nil
}

func (a *app) givenCommand() *cobra.Command {
	var limit int
	command := &cobra.Command{
		Use:   "downloads OBJECT_ID",
		Short: "List who was given an object's bytes, oldest first",
		Args:  cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			given, err := c.Downloads(ctx, args[0], limit)
			if err != nil {
				return err
			}
			rows := make([][]string, len(given))
			for i, g := range given {
				rows[i] = []string{g.Time, g.Principal, g.Credential, g.RemoteIP, bytesText(g.BytesOut), g.Op, g.URLID}
			}
			return a.table(map[string]any{"object_id": args[0], "downloads": given}, "TIME\tPRINCIPAL\tCREDENTIAL\tFROM\tBYTES\tOPERATION\tURL", rows)
		}),
	}
	limitFlag(command, &limit)
	return command
}

func (a *app) examineCommand() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "examine OBJECT_ID",
		Short: `Download what is not published, in a zip archive encrypted with the password "infected" (analysts)`,
		Args:  cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			path := output
			if path == "" {
				path = filepath.Base(args[0]) + ".zip"
				if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("%s: exists; name another file with -o", path)
				}
			}
			if err := writeWhole(path, func(w io.Writer) error { return c.Examine(ctx, args[0], w) }); err != nil {
				return err
			}
			if a.json {
				return a.writeJSON(map[string]any{"object_id": args[0], "file": path})
			}
			a.printf("%s  %s\n", args[0], oneLine(path))
			return nil
		}),
	}
	command.Flags().StringVarP(&output, "output", "o", "", "file to write, replaced if it exists (default: OBJECT_ID.zip, which must be free)")
	return command
}
