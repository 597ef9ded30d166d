package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
)

// app is what every command shares: its surroundings and the flags that all of
// them know.
type app struct {
	out, errOut io.Writer
	environ     []string // NAME=value
	now         func() time.Time
	terminal    func(*os.File) bool

	json     bool   // --json
	endpoint string // --endpoint
	region   string // --region
}

// errReported ends a command with a failure whose text was already shown.
var errReported = errors.New("already reported")

// run executes one command line and returns the process's exit code.
func (a *app) run(args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	err := root.Execute()
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		a.report(err)
	}
	return 1
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "sallyport",
		Short:         "A secure front for object storage",
		Long:          "Sallyport stands in front of object storage: it hands out signed URLs, checks every byte that\npasses, inspects what arrives and shows nothing before it is published.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().BoolVar(&a.json, "json", false, "write JSON instead of text")
	root.AddGroup(&cobra.Group{ID: "server", Title: "Server:"}, &cobra.Group{ID: "client", Title: "Client of a running server:"})
	a.add(root, "server", a.serveCommand(), a.doctorCommand(), a.fsckCommand(), a.versionCommand(), a.sandboxCommand())
	for _, command := range []*cobra.Command{
		a.uploadCommand(), a.downloadCommand(), a.objectsCommand(), a.profileCommand(),
		a.tenantCommand(), a.keyCommand(), a.tokenCommand(), a.webhookCommand(), a.eventsCommand(), a.auditCommand(), a.clockCommand(),
	} {
		flags := command.PersistentFlags()
		flags.StringVar(&a.endpoint, "endpoint", "", "URL of the control port (SALLYPORT_ENDPOINT; default http://127.0.0.1:9001)")
		flags.StringVar(&a.region, "region", "", "region to sign for (SALLYPORT_S3_REGION; default us-east-1)")
		a.add(root, "client", command)
	}
	return root
}

func (a *app) add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, command := range commands {
		command.GroupID = group
		root.AddCommand(command)
	}
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	parent := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return fmt.Errorf("%s needs one of its commands; see %s --help", use, cmd.CommandPath())
	}}
	parent.AddCommand(commands...)
	return parent
}

// remote makes the body of a client command: it ends on SIGINT and SIGTERM and
// has a client with the credential of the environment.
func (a *app) remote(run func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(_ *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		c, err := a.client()
		if err != nil {
			return err
		}
		return run(ctx, c, args)
	}
}

func (a *app) client() (*client.Client, error) {
	return client.New(client.Config{
		Endpoint:  cmp.Or(a.endpoint, a.env("SALLYPORT_ENDPOINT"), "http://127.0.0.1:9001"),
		AccessKey: a.env("SALLYPORT_ACCESS_KEY"),
		SecretKey: a.env("SALLYPORT_SECRET_KEY"),
		Token:     a.env("SALLYPORT_TOKEN"),
		Region:    cmp.Or(a.region, a.env("SALLYPORT_S3_REGION"), "us-east-1"),
		Now:       a.now,
	})
}

func (a *app) env(name string) string {
	for _, variable := range a.environ {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// report shows an error on standard error: a refusal by the server with its
// code, message and request id.
func (a *app) report(err error) {
	if !a.json {
		fmt.Fprintln(a.errOut, "sallyport:", printable(err.Error()))
		return
	}
	shown := &client.Error{Code: "CLIENT_ERROR", Message: err.Error()}
	errors.As(err, &shown)
	line, marshalErr := json.Marshal(shown)
	if marshalErr != nil {
		line = []byte(err.Error())
	}
	fmt.Fprintf(a.errOut, "%s\n", line)
}
