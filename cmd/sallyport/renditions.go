package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
)

func (a *app) renditionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "renditions OBJECT_ID",
		Short: "List the clean copies that were made of a picture",
		Args:  cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			list, err := c.Renditions(ctx, args[0])
			if err != nil {
				return err
			}
			rows := make([][]string, len(list))
			for i, r := range list {
				rows[i] = []string{r.Name, r.ContentType, fmt.Sprintf("%d×%d", r.Width, r.Height), bytesText(r.Size)}
			}
			return a.table(map[string]any{"object_id": args[0], "renditions": list}, "NAME\tTYPE\tPIXELS\tSIZE", rows)
		}),
	}
}

// find returns the rendition that the command is to fetch, nil for the object itself.
func (d *downloader) find(ctx context.Context, c *client.Client, object string) (*client.Rendition, error) {
	if d.rendition == "" {
		return nil, nil
	}
	list, err := c.Renditions(ctx, object)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range list {
		if r.Name == d.rendition {
			return &r, nil
		}
		names = append(names, r.Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no renditions", object)
	}
	return nil, fmt.Errorf("%s has no rendition %s, but %s", object, oneLine(d.rendition), strings.Join(names, ", "))
}

// renditionName is the file that a rendition is saved to, beside its picture.
func renditionName(o client.Object, r *client.Rendition) string {
	name := localName(o)
	kind := ".png"
	if r.ContentType == "image/jpeg" {
		kind = ".jpg"
	}
	return strings.TrimSuffix(name, filepath.Ext(name)) + "-" + r.Name + kind
}
