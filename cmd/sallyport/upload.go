package main

import (
	"context"
	"encoding/json"
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

	partsAbove  = 64 << 20 // bytes: larger files go in parts
	maxParallel = 64
)

// errRefused says that an upload arrived and was not published.
var errRefused = errors.New("not published")

// uploader is the upload command's flags.
type uploader struct {
	*app
	profile, contentType string
	wait                 bool
	timeout              time.Duration
	parallel             int
	resume               string // id of a session to go on with
}

func (a *app) uploadCommand() *cobra.Command {
	u := &uploader{app: a}
	command := &cobra.Command{
		Use:   "upload FILE…",
		Short: "Upload files and wait until they are published",
		Long: "Upload files and wait until they are published. A file of over 64 MiB goes in parts, several at\n" +
			"a time; its upload's id is written to standard error at once, and --resume with that id goes on\n" +
			"after an interruption: it sends what the server does not have.",
		Args: cobra.MinimumNArgs(1),
		RunE: a.remote(u.run),
	}
	flags := command.Flags()
	flags.StringVar(&u.profile, "profile", "", "profile to upload under (default: default)")
	flags.StringVar(&u.contentType, "content-type", "application/octet-stream",
		"media type to declare; what the bytes are is found out either way")
	flags.BoolVar(&u.wait, "wait", true, "wait until the object is published or refused")
	flags.IntVar(&u.parallel, "parallel", 4, "how many parts of a large file go at a time, 1 to 64")
	flags.StringVar(&u.resume, "resume", "", "id of an upload in parts to go on with, for one file")
	flags.DurationVar(&u.timeout, "timeout", 10*time.Minute, "how long to wait for that")
	return command
}

// run uploads one file after the other. A failure does not keep the others back.
func (u *uploader) run(ctx context.Context, c *client.Client, files []string) error {
	switch {
	case u.parallel < 1 || u.parallel > maxParallel:
		return fmt.Errorf("--parallel is 1 to %d", maxParallel)
	case u.resume != "" && len(files) != 1:
		return errors.New("--resume goes on with one file")
	}
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
	id, err := u.deliver(ctx, c, f, info.Size())
	if err != nil {
		return err
	}
	object, err := u.settled(ctx, c, id)
	if err != nil {
		return err
	}
	return u.show(object)
}

// deliver brings the bytes to the server, and returns their object's id.
func (u *uploader) deliver(ctx context.Context, c *client.Client, f *os.File, size int64) (string, error) {
	if u.resume != "" {
		return u.goOn(ctx, c, f, size)
	}
	session, err := c.CreateUpload(ctx, client.NewUpload{
		Filename: filepath.Base(f.Name()), ContentType: u.contentType, Size: size, Profile: u.profile, Multipart: size > partsAbove,
	})
	if err != nil {
		return "", err
	}
	if session.PartSize > 0 {
		return session.ObjectID, u.sendParts(ctx, c, client.Session{
			UploadID: session.UploadID, Size: size, PartSize: session.PartSize, PartCount: session.PartCount,
		}, f)
	}
	if err := u.send(ctx, c, session, f, size); err != nil {
		// Not ctx: it may be what ended the upload. What cannot be aborted
		// expires by itself.
		tidy, cancel := context.WithTimeout(context.Background(), abortTime)
		defer cancel()
		_ = c.AbortUpload(tidy, session.UploadID)
		return "", err
	}
	return session.ObjectID, nil
}

// send puts the bytes and finalizes with the digest of what went.
func (u *uploader) send(ctx context.Context, c *client.Client, session client.Upload, f *os.File, size int64) error {
	update, clear := u.watch(f, size)
	defer clear()
	sum, err := c.Put(ctx, session, f, size, update)
	if err != nil {
		return err
	}
	return c.FinalizeUpload(ctx, session.UploadID, sum)
}

// watch draws a bar where somebody sees it.
func (u *uploader) watch(f *os.File, size int64) (update func(int64), clear func()) {
	bar := u.progress(filepath.Base(f.Name()), size)
	if bar == nil {
		return nil, func() {}
	}
	return bar.update, bar.clear
}

// goOn resumes a session that was begun for this file.
func (u *uploader) goOn(ctx context.Context, c *client.Client, f *os.File, size int64) (string, error) {
	session, err := c.Session(ctx, u.resume)
	switch {
	case err != nil:
		return "", err
	case session.PartSize == 0:
		return "", fmt.Errorf("upload %s is not in parts: there is nothing to go on with", u.resume)
	case session.Size != size:
		return "", fmt.Errorf("%w: it is for %d bytes, this one has %d", client.ErrNotTheFile, session.Size, size)
	case session.State == "finalized":
		return session.ObjectID, nil // only the rest of the waiting was lost
	case session.State != "created" && session.State != "uploading":
		return "", fmt.Errorf("upload %s is %s", u.resume, session.State)
	}
	return session.ObjectID, u.sendParts(ctx, c, session, f)
}

// sendParts puts what the server does not have and finalizes with the digest of the
// file. A session that fails is left as it is, to be resumed.
func (u *uploader) sendParts(ctx context.Context, c *client.Client, session client.Session, f *os.File) error {
	if err := u.announce(session); err != nil {
		return err
	}
	update, clear := u.watch(f, session.Size)
	defer clear()
	sum, err := c.PutParts(ctx, session, f, u.parallel, update)
	if err == nil {
		err = c.FinalizeUpload(ctx, session.UploadID, sum)
	}
	if err != nil {
		return fmt.Errorf("%w (--resume %s goes on)", err, session.UploadID)
	}
	return nil
}

// announce tells the id of an upload while it can still be interrupted.
func (u *uploader) announce(s client.Session) error {
	if u.json {
		return json.NewEncoder(u.errOut).Encode(map[string]any{"upload_id": s.UploadID, "part_size": s.PartSize, "part_count": s.PartCount})
	}
	_, err := fmt.Fprintf(u.errOut, "%s  %d parts of %s\n", s.UploadID, s.PartCount, bytesText(s.PartSize))
	return err
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
