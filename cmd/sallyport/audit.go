package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
	"sallyport/registry"
)

// followEvery is how often audit tail --follow looks for new leaves.
const followEvery = time.Second

func (a *app) auditCommand() *cobra.Command {
	return group("audit", "Read and verify the audit log", a.auditTailCommand(), a.auditExportCommand(), a.auditVerifyCommand())
}

func (a *app) auditTailCommand() *cobra.Command {
	var last uint64
	var follow bool
	tail := &cobra.Command{
		Use:   "tail",
		Short: "Show the newest events, one JSON line each",
		Args:  cobra.NoArgs,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			head, err := fetchHead(ctx, c)
			if err != nil {
				return err
			}
			next := head.size - min(last, head.size)
			show := func(leaf client.AuditLeaf) error {
				next = leaf.Seq + 1
				_, err := fmt.Fprintf(a.out, "%s\n", leaf.Line)
				return err
			}
			for {
				if err := c.Audit(ctx, next, ^uint64(0), show); err != nil || !follow {
					return err
				}
				select {
				case <-ctx.Done():
					return nil // the way to end it
				case <-time.After(followEvery):
				}
			}
		}),
	}
	tail.Flags().Uint64VarP(&last, "lines", "n", 20, "look at this many of the log's newest leaves")
	tail.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new ones")
	return tail
}

func (a *app) auditExportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export DIR",
		Short: "Write the log, its signed head and its key to a new directory",
		Args:  cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			x, err := exportAudit(ctx, c, args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.writeJSON(map[string]any{"dir": args[0], "leaves": x.leaves, "size": x.size})
			}
			a.printf("%d of the log's %d leaves in %s\n", x.leaves, x.size, args[0])
			return nil
		}),
	}
}

func (a *app) auditVerifyCommand() *cobra.Command {
	v := &auditVerifier{app: a}
	verify := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Verify the running server's log, or an export of it",
		Long: `Verify recomputes the log's tree from its leaves and compares it with the head the
server signed. Who may see only one tenant's events gets proof that each of them
is in the log; that none is missing only an operator can verify.

The key proves who signed. Ask the server for it once, keep it, and give it with
--key from then on; likewise keep a checkpoint and give it with --older: it must
still be how the log began.`,
		Args: cobra.MaximumNArgs(1),
		RunE: v.run,
	}
	verify.Flags().StringVar(&v.key, "key", "", "verifier key to insist on (default: the one that the server or the export names)")
	verify.Flags().StringVar(&v.older, "older", "", "file with an earlier checkpoint that the log must extend")
	return verify
}

// auditHead is a head of the log, its key not yet known to be the right one.
type auditHead struct {
	checkpoint []byte
	key        string
	size       uint64
}

func fetchHead(ctx context.Context, c *client.Client) (auditHead, error) {
	var h auditHead
	var err error
	if h.checkpoint, err = c.AuditCheckpoint(ctx); err != nil {
		return h, err
	}
	if h.key, err = c.AuditKey(ctx); err != nil {
		return h, err
	}
	head, err := registry.OpenCheckpoint(h.key, h.checkpoint)
	h.size = head.Size
	return h, err
}
