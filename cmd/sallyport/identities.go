package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
)

func (a *app) tenantCommand() *cobra.Command {
	var limit int
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a tenant", Args: cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			tenant, err := c.CreateTenant(ctx, args[0])
			if err != nil {
				return err
			}
			return a.table(tenant, "TENANT\tCREATED", [][]string{{tenant.Tenant, stamp(tenant.CreatedAt)}})
		}),
	}
	ls := &cobra.Command{
		Use: "ls", Short: "List tenants", Args: cobra.NoArgs,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			tenants, err := c.Tenants(ctx, limit)
			if err != nil {
				return err
			}
			rows := make([][]string, len(tenants))
			for i, t := range tenants {
				rows[i] = []string{t.Tenant, status(t.Suspended, "suspended"), stamp(t.CreatedAt)}
			}
			return a.table(map[string]any{"tenants": tenants}, "TENANT\tSTATUS\tCREATED", rows)
		}),
	}
	limitFlag(ls, &limit)
	return group("tenant", "Manage tenants (operators)", create, ls, a.tenantLimitsCommand(),
		a.simple("suspend NAME", "Stop everything a tenant does, at once", (*client.Client).SuspendTenant),
		a.simple("resume NAME", "Let a suspended tenant go on", (*client.Client).ResumeTenant))
}

func (a *app) tenantLimitsCommand() *cobra.Command {
	var presignMax time.Duration
	limits := &cobra.Command{
		Use: "limits NAME", Short: "Replace a tenant's limits", Args: cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			t, err := c.SetTenantLimits(ctx, args[0], lifetime(presignMax))
			if err != nil {
				return err
			}
			return a.table(t, "TENANT\tPRESIGN MAX TTL", [][]string{{t.Tenant, cmp.Or(t.PresignMax, "the server's")}})
		}),
	}
	limits.Flags().DurationVar(&presignMax, "presign-max-ttl", 0, "longest lifetime of URLs that S3 clients sign with its keys; 0 is the server's")
	return limits
}

func (a *app) keyCommand() *cobra.Command {
	var n client.NewKey
	var limit int
	create := &cobra.Command{
		Use: "create PRINCIPAL", Short: "Make an access key; its secret is shown this once", Args: cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			n.Principal = args[0]
			key, err := c.CreateKey(ctx, n)
			if err != nil {
				return err
			}
			if a.json {
				return a.writeJSON(key)
			}
			a.printf("SALLYPORT_ACCESS_KEY=%s\nSALLYPORT_SECRET_KEY=%s\n", key.AccessKey, key.SecretKey)
			return nil
		}),
	}
	create.Flags().StringSliceVar(&n.Roles, "role", nil, "roles of the key: uploader, reader, auditor, admin, analyst, operator")
	create.Flags().StringVar(&n.Tenant, "tenant", "", "tenant of the key (operators; default: one's own)")
	ls := &cobra.Command{
		Use: "ls", Short: "List access keys", Args: cobra.NoArgs,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			keys, err := c.Keys(ctx, limit)
			if err != nil {
				return err
			}
			rows := make([][]string, len(keys))
			for i, k := range keys {
				rows[i] = []string{k.AccessKey, k.Principal, strings.Join(k.Roles, ","), status(k.Revoked, "revoked"), stamp(k.CreatedAt)}
			}
			return a.table(map[string]any{"keys": keys}, "ACCESS KEY\tPRINCIPAL\tROLES\tSTATUS\tCREATED", rows)
		}),
	}
	limitFlag(ls, &limit)
	return group("key", "Manage access keys", create, ls,
		a.simple("revoke ACCESS_KEY", "End an access key and the URLs it issued, at once", (*client.Client).RevokeKey))
}

func (a *app) tokenCommand() *cobra.Command {
	var n client.NewToken
	var ttl time.Duration
	var limit int
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a bearer token; it is shown this once", Args: cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			n.Name, n.TTL = args[0], ttl.String()
			token, err := c.CreateToken(ctx, n)
			if err != nil {
				return err
			}
			if a.json {
				return a.writeJSON(token)
			}
			a.printf("SALLYPORT_TOKEN=%s\n# id %s, expires %s\n", token.Token, token.ID, stamp(token.ExpiresAt))
			return nil
		}),
	}
	create.Flags().StringSliceVar(&n.Roles, "role", nil, "roles of the token, a subset of one's own")
	create.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token lives")
	ls := &cobra.Command{
		Use: "ls", Short: "List tokens", Args: cobra.NoArgs,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			tokens, err := c.Tokens(ctx, limit)
			if err != nil {
				return err
			}
			rows := make([][]string, len(tokens))
			for i, t := range tokens {
				rows[i] = []string{t.ID, t.Name, t.Principal, strings.Join(t.Roles, ","), stamp(t.ExpiresAt)}
			}
			return a.table(map[string]any{"tokens": tokens}, "TOKEN\tNAME\tPRINCIPAL\tROLES\tEXPIRES", rows)
		}),
	}
	limitFlag(ls, &limit)
	return group("token", "Manage bearer tokens", create, ls,
		a.simple("revoke ID", "End a token at once", (*client.Client).RevokeToken))
}

// simple makes a command that does one thing to what its argument names.
func (a *app) simple(use, short string, do func(c *client.Client, ctx context.Context, id string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error { return do(c, ctx, args[0]) }),
	}
}

func status(ended bool, word string) string {
	if ended {
		return word
	}
	return "active"
}
