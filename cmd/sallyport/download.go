package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
)

// downloader is the download command's flags.
type downloader struct {
	*app
	output    string
	rendition string
}

func (a *app) downloadCommand() *cobra.Command {
	d := &downloader{app: a}
	command := &cobra.Command{
		Use:   "download OBJECT_ID",
		Short: "Download a published object and check its SHA-256",
		Args:  cobra.ExactArgs(1),
		RunE:  a.remote(d.run),
	}
	command.Flags().StringVarP(&d.output, "output", "o", "", "file to write, replaced if it exists; - is standard output (default: the object's own name, which must be free)")
	command.Flags().StringVar(&d.rendition, "rendition", "", "fetch this clean copy instead; see objects renditions")
	return command
}

func (d *downloader) run(ctx context.Context, c *client.Client, args []string) error {
	object, err := c.Object(ctx, args[0])
	if err != nil {
		return err
	}
	rendition, err := d.find(ctx, c, object.ObjectID)
	if err != nil {
		return err
	}
	if d.output == "-" {
		w := bufio.NewWriter(d.out)
		if err := c.Download(ctx, object, rendition, w); err != nil {
			return err
		}
		return w.Flush()
	}
	path := d.output
	if path == "" {
		path = localName(object)
		if rendition != nil {
			path = renditionName(object, rendition)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: exists; name another file with -o", path)
		}
	}
	if rendition != nil {
		object.Size, object.SHA256 = rendition.Size, &rendition.SHA256
	}
	if err := d.save(ctx, c, object, rendition, path); err != nil {
		return err
	}
	if d.json {
		return d.writeJSON(map[string]any{"object_id": object.ObjectID, "file": path, "size": object.Size, "sha256": object.SHA256})
	}
	d.printf("%s  %s  %s\n", object.ObjectID, bytesText(object.Size), oneLine(path))
	return nil
}

// save makes the file appear whole and checked, or not at all.
func (d *downloader) save(ctx context.Context, c *client.Client, object client.Object, rendition *client.Rendition, path string) error {
	return writeWhole(path, func(w io.Writer) error {
		if bar := d.progress(filepath.Base(path), object.Size); bar != nil {
			w = &progressWriter{w: w, bar: bar}
			defer bar.clear()
		}
		return c.Download(ctx, object, rendition, w)
	})
}

// writeWhole makes a file appear with all that write writes, or not at all.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".sallyport-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreClosed(f.Close()), os.Remove(f.Name()))
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// progressWriter tells a bar what passes.
type progressWriter struct {
	w    io.Writer
	bar  *progress
	done int64
}

func (p *progressWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.done += int64(n)
	p.bar.update(p.done)
	return n, err
}

// localName makes a file name in this directory from the name that whoever
// uploaded the object gave it. What could lead elsewhere, hide or be taken for a
// flag gives way to the object's id.
func localName(o client.Object) string {
	name := o.Filename
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	if name == "" || name[0] == '.' || name[0] == '-' || len(name) > 255 || strings.ContainsFunc(name, unicode.IsControl) {
		return filepath.Base(o.ObjectID)
	}
	return name
}
