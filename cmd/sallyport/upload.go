package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
)

const (
	firstPoll = 20 * time.Millisecond // of an object that is being inspected
	lastPoll  = time.Second
	abortTime = 5 * time.Second // spent on tidying up after a failed upload
)

// errRefused says that an upload arrived and was not published.
var errRefused = errors.New("not published")

// uploader is the upload command's flags.
type uploader struct {
	*app
	profile, contentType string
	wait                 bool
	timeout              time.Duration
}

func (a *app) uploadCommand() *cobra.Command {
	u := &uploader{app: a}
	command := &cobra.Command{
		Use:   "upload FILE…",
		Short: "Upload files and wait until they are published",
		Args:  cobra.MinimumNArgs(1),
		RunE:  a.remote(u.run),
	}
	flags := command.Flags()
	flags.StringVar(&u.profile, "profile", "", "profile to upload under (default: default)")
	flags.StringVar(&u.contentType, "content-type", "application/octet-stream",
		"media type to declare; what the bytes are is found out either way")
	flags.BoolVar(&u.wait, "wait", true, "wait until the object is published or refused")
	flags.DurationVar(&u.timeout, "timeout", 10*time.Minute, "how long to wait for that")
	return command
}

// run uploads one file after the other. A failure does not keep the others back.
func (u *uploader) run(ctx context.Context, c *client.Client, files []string) error {
	failed := false
	for _, file := range files {
		if err := u.upload(ctx, c, file); err != nil {
			u.report(fmt.Errorf("%s: %w", file, err))
			failed = true
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if failed {
		return errReported
	}
	return nil
}

func (u *uploader) upload(ctx context.Context, c *client.Client, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file, so its length is not known")
	}
	session, err := c.CreateUpload(ctx, client.NewUpload{
		Filename: filepath.Base(path), ContentType: u.contentType, Size: info.Size(), Profile: u.profile,
	})
	if err != nil {
		return err
	}
	if err := u.send(ctx, c, session, f, info.Size()); err != nil {
		// Not ctx: it may be what ended the upload. What cannot be aborted
		// expires by itself.
		tidy, cancel := context.WithTimeout(context.Background(), abortTime)
		defer cancel()
		_ = c.AbortUpload(tidy, session.UploadID)
		return err
	}
	object, err := u.settled(ctx, c, session.ObjectID)
	if err != nil {
		return err
	}
	return u.show(object)
}

// send puts the bytes and finalizes with the digest of what went.
func (u *uploader) send(ctx context.Context, c *client.Client, session client.Upload, f *os.File, size int64) error {
	var update func(int64)
	if bar := u.progress(filepath.Base(f.Name()), size); bar != nil {
		update = bar.update
		defer bar.clear()
	}
	sum, err := c.Put(ctx, session, f, size, update)
	if err != nil {
		return err
	}
	return c.FinalizeUpload(ctx, session.UploadID, sum)
}

// settled reads the object, again and again if it is to be waited for.
func (u *uploader) settled(ctx context.Context, c *client.Client, id string) (client.Object, error) {
	deadline := u.now().Add(u.timeout)
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		object, err := c.Object(ctx, id)
		if err != nil || object.Settled() || !u.wait {
			return object, err
		}
		if u.now().After(deadline) {
			return object, fmt.Errorf("%s: still %s after %s", id, object.State, u.timeout)
		}
		select {
		case <-ctx.Done():
			return object, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (u *uploader) show(o client.Object) error {
	if u.json {
		if err := u.writeJSON(o); err != nil {
			return err
		}
	}
	u.printf("%s  %s  %s  %s\n", o.ObjectID, stateText(o), bytesText(o.Size), oneLine(o.Filename))
	if u.wait && o.State != "published" {
		reason := ""
		if o.Verdict != nil {
			reason = ": " + verdictText(*o.Verdict)
		}
		return fmt.Errorf("%s is %s%s: %w", o.ObjectID, stateText(o), reason, errRefused)
	}
	return nil
}

func verdictText(v client.Verdict) string {
	if v.Reason != "" {
		return v.Result + " (" + v.Reason + ")"
	}
	return v.Result
}

func stateText(o client.Object) string {
	if o.Held {
		return o.State + ", held for review"
	}
	return o.State
}
