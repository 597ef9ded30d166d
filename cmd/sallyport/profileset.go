package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sallyport/cmd/sallyport/client"
	"sallyport/cmd/sallyport/config"
)

// profileFlags are what profile set can change.
type profileFlags struct {
	intake, maxSize                                   string
	types, origins                                    []string
	sessionTTL, putURLTTL, getURLMinTTL, getURLMaxTTL time.Duration
	presignMax                                        time.Duration
	inline, singleUse                                 bool
	scan                                              scanFlags
}

func (a *app) profileSetCommand() *cobra.Command {
	var f profileFlags
	set := &cobra.Command{
		Use: "set NAME", Short: "Make a profile, or change what the flags name", Args: cobra.ExactArgs(1),
	}
	flags := set.Flags()
	flags.StringVar(&f.intake, "intake", "", "quarantine (publish after inspection) or direct")
	flags.StringSliceVar(&f.types, "type", nil, "media types that are allowed, e.g. image/*; empty allows any")
	flags.StringVar(&f.maxSize, "max-size", "", "largest object, e.g. 20MiB; 0 is the server's default")
	flags.DurationVar(&f.sessionTTL, "session-ttl", 0, "lifetime of a session; 0 is the server's default, as below")
	flags.DurationVar(&f.putURLTTL, "put-url-ttl", 0, "lifetime of an upload URL")
	flags.DurationVar(&f.getURLMinTTL, "get-url-min-ttl", 0, "shortest lifetime of a download URL")
	flags.DurationVar(&f.getURLMaxTTL, "get-url-max-ttl", 0, "longest lifetime of a download URL")
	flags.BoolVar(&f.inline, "allow-inline", false, "let presigned downloads be displayed rather than saved")
	flags.BoolVar(&f.singleUse, "single-use", false, "let every URL that an S3 client signs for a PUT work once")
	flags.DurationVar(&f.presignMax, "presign-max-ttl", 0, "longest lifetime of URLs that S3 clients sign; 0 is the tenant's")
	flags.StringSliceVar(&f.origins, "cors-origin", nil, "origins whose pages may use the profile's URLs")
	f.scan.register(flags)
	set.RunE = a.remote(func(ctx context.Context, c *client.Client, args []string) error {
		profile, err := c.Profile(ctx, args[0])
		var refusal *client.Error
		if err != nil && (!errors.As(err, &refusal) || refusal.Status != http.StatusNotFound) {
			return err
		}
		profile.Name = args[0]
		if err := f.change(&profile, flags); err != nil {
			return err
		}
		if profile, err = c.PutProfile(ctx, profile); err != nil {
			return err
		}
		return a.profileTable(profile, profile)
	})
	return set
}

// change applies the flags that were given.
func (f *profileFlags) change(p *client.Profile, flags *pflag.FlagSet) error {
	if flags.Changed("max-size") {
		var size config.Size
		if err := size.UnmarshalText([]byte(f.maxSize)); err != nil {
			return err
		}
		p.MaxSize = int64(size)
	}
	apply := map[string]func(){
		"intake":          func() { p.Intake = f.intake },
		"type":            func() { p.AllowedTypes = f.types },
		"session-ttl":     func() { p.SessionTTL = lifetime(f.sessionTTL) },
		"put-url-ttl":     func() { p.PutURLTTL = lifetime(f.putURLTTL) },
		"get-url-min-ttl": func() { p.GetURLMinTTL = lifetime(f.getURLMinTTL) },
		"get-url-max-ttl": func() { p.GetURLMaxTTL = lifetime(f.getURLMaxTTL) },
		"allow-inline":    func() { p.AllowInline = f.inline },
		"cors-origin":     func() { p.CORSOrigins = f.origins },
		"single-use":      func() { p.SingleUse = f.singleUse },
		"presign-max-ttl": func() { p.PresignMax = lifetime(f.presignMax) },
	}
	for name, set := range apply {
		if flags.Changed(name) {
			set()
		}
	}
	return f.scan.change(&p.Scan, flags)
}

// lifetime is d as the API takes it: 0 is to be left out.
func lifetime(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
