package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"sallyport/registry"
	"sallyport/registry/blob"
)

// fsck compares the ledger with itself and with the bytes, both ways. Blob keys
// are internal: the report names the object or upload that a key was made for.
type fsck struct {
	*app
	node    *node
	content bool

	report  fsckReport
	orphans []blob.Key
}

// fsckReport is what was found.
type fsckReport struct {
	Leaves  uint64        `json:"audit_leaves"`
	Objects int           `json:"objects"` // that have bytes
	Bytes   int64         `json:"bytes"`   // that they refer to
	Ledger  []string      `json:"ledger"`  // contradictions inside the ledger
	Damaged []fsckFinding `json:"damaged"` // the ledger promises bytes that are not there
	Orphans []fsckFinding `json:"orphans"` // bytes that the ledger does not know
	Deleted int           `json:"deleted"` // of the orphans

	// Leftovers are bytes that the ledger knows nobody misses, such as a killed
	// server's half uploads. Nothing has to be put right: the server deletes them
	// when it runs.
	Leftovers fsckLeftovers `json:"leftovers"`
}

// fsckLeftovers counts blobs and their bytes.
type fsckLeftovers struct {
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// fsckFinding is one object, upload or blob.
type fsckFinding struct {
	ID      string `json:"id"`
	Tenant  string `json:"tenant,omitempty"`
	Size    int64  `json:"size"`
	Problem string `json:"problem"`
}

func (a *app) fsckCommand() *cobra.Command {
	var s settings
	f := &fsck{app: a}
	var remove bool
	command := &cobra.Command{
		Use:   "fsck",
		Short: "Compare ledger and bytes of a stopped server, both ways",
		Long: `Fsck verifies the ledger and its audit log, then looks for bytes that the ledger
promises and that are missing, and for bytes that the ledger does not know. It
reports, and only then deletes, with --delete, the unknown ones. What a killed
server left half done is counted as leftovers, not as damage. The server must not
be running. It exits with 1 if anything is left to put right.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return f.run(ctx, &s, remove)
		},
	}
	s.register(command.Flags())
	command.Flags().BoolVar(&remove, "delete", false, "delete, after the report, the bytes that the ledger does not know")
	command.Flags().BoolVar(&f.content, "content", false, "also read every object and compare its digests")
	return command
}

func (f *fsck) run(ctx context.Context, s *settings, remove bool) (err error) {
	cfg, err := f.load(s)
	if err != nil {
		return err
	}
	if _, err := os.Stat(cfg.DataDir); err != nil {
		return err // opening would make it
	}
	f.node, err = openNode(ctx, cfg, slog.New(slog.DiscardHandler), f.now, newLedgerMetrics())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.node.close(context.Background())) }()
	if err := f.compare(ctx); err != nil {
		return err
	}
	f.show()
	if remove {
		err = f.removeOrphans(ctx)
	}
	if f.json {
		err = errors.Join(err, f.writeJSON(f.report))
	}
	if err == nil && (len(f.report.Ledger) > 0 || len(f.report.Damaged) > 0 || f.report.Deleted < len(f.report.Orphans)) {
		err = errReported
	}
	return err
}

func (f *fsck) compare(ctx context.Context) error {
	f.report = fsckReport{Ledger: []string{}, Damaged: []fsckFinding{}, Orphans: []fsckFinding{}}
	switch err := f.node.ledger.Check(ctx); {
	case errors.Is(err, registry.ErrInconsistent), errors.Is(err, registry.ErrTampered):
		f.report.Ledger = strings.Split(err.Error(), "\n")
	case err != nil:
		return err
	default:
		audit, err := f.node.ledger.VerifyAudit(ctx)
		if err != nil {
			return err
		}
		f.report.Leaves = audit.Size
	}
	if err := f.findDamaged(ctx); err != nil {
		return err
	}
	return f.findOrphans(ctx)
}

// pages calls fetch for one page after the other.
func pages(fetch func(registry.Page) (next string, err error)) error {
	page := registry.Page{Limit: 1000}
	for {
		next, err := fetch(page)
		if err != nil || next == "" {
			return err
		}
		page.Cursor = next
	}
}

// findDamaged goes from the ledger to the bytes.
func (f *fsck) findDamaged(ctx context.Context) error {
	ledger := f.node.ledger
	return pages(func(page registry.Page) (string, error) {
		tenants, next, err := ledger.Tenants(ctx, page)
		if err != nil {
			return "", err
		}
		for _, tenant := range tenants {
			err := pages(func(page registry.Page) (string, error) {
				objects, next, err := ledger.Objects(ctx, tenant.Name, registry.ObjectFilter{}, page)
				for i := 0; i < len(objects) && err == nil; i++ {
					err = f.checkObject(ctx, &objects[i])
				}
				return next, err
			})
			if err != nil {
				return "", err
			}
			err = pages(func(page registry.Page) (string, error) {
				uploads, next, err := ledger.Uploads(ctx, tenant.Name, "", page)
				for i := 0; i < len(uploads) && err == nil; i++ {
					err = f.checkUpload(ctx, &uploads[i])
				}
				return next, err
			})
			if err == nil {
				err = f.findDamagedParts(ctx, tenant.Name)
			}
			if err != nil {
				return "", err
			}
		}
		return next, nil
	})
}

// checkUpload looks for bytes that were received and wait to be finalized; from
// then on they are the object's.
func (f *fsck) checkUpload(ctx context.Context, u *registry.Upload) error {
	if u.PartSize > 0 {
		return f.checkSessionParts(ctx, u)
	}
	if u.State != registry.UploadUploaded || u.Stored == nil {
		return nil
	}
	problem, err := f.stat(ctx, blob.Key(u.Staging), u.Stored.Size)
	f.damaged(problem, string(u.ID), u.Tenant, u.Size)
	return err
}

func (f *fsck) checkObject(ctx context.Context, o *registry.Object) error {
	if o.State == registry.ObjectDeleted || o.State == registry.ObjectPending || len(o.Extents) == 0 {
		return nil
	}
	f.report.Objects++
	f.report.Bytes += o.Size
	for i, extent := range o.Extents {
		problem, err := f.stat(ctx, blob.Key(extent.Blob), extent.Offset+extent.Length)
		if err == nil && problem != "" && i < len(o.Targets) {
			// Promotion was under way: the blob may have moved already.
			problem, err = f.stat(ctx, blob.Key(o.Targets[i]), extent.Offset+extent.Length)
		}
		if err != nil || problem != "" {
			f.damaged(problem, string(o.ID), o.Tenant, o.Size)
			return err
		}
	}
	if f.content {
		problem, err := f.read(ctx, o)
		if err != nil {
			return err
		}
		f.damaged(problem, string(o.ID), o.Tenant, o.Size)
	}
	return f.checkRenditions(ctx, o)
}

// stat returns what is wrong with a blob that needs at least that many bytes.
func (f *fsck) stat(ctx context.Context, key blob.Key, need int64) (problem string, err error) {
	info, err := f.node.blobs.Stat(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "its bytes are missing", nil
	case err != nil:
		return "", err
	case info.Size < need:
		return fmt.Sprintf("%d bytes are stored where %d belong", info.Size, need), nil
	}
	return "", nil
}

func (f *fsck) damaged(problem, id string, tenant registry.TenantName, size int64) {
	if problem != "" {
		f.report.Damaged = append(f.report.Damaged, fsckFinding{ID: id, Tenant: string(tenant), Size: size, Problem: problem})
	}
}

// findOrphans goes from the bytes to the ledger.
func (f *fsck) findOrphans(ctx context.Context) error {
	for entry, err := range f.node.blobs.List(ctx, "") {
		if err != nil {
			return err
		}
		standing, err := f.node.ledger.Standing(ctx, registry.BlobKey(entry.Key))
		if err != nil {
			return err
		}
		switch standing {
		case registry.BlobLeftover:
			f.report.Leftovers.Blobs++
			f.report.Leftovers.Bytes += entry.Size
		case registry.BlobUnknown:
			f.orphans = append(f.orphans, entry.Key)
			f.report.Orphans = append(f.report.Orphans, fsckFinding{
				ID: madeFor(entry.Key), Size: entry.Size, Problem: "the ledger does not know these bytes",
			})
		}
	}
	return nil
}

// madeFor returns the id inside a blob key, …/yyyy/mm/dd/{id}/…
func madeFor(key blob.Key) string {
	segments := strings.Split(string(key), "/")
	if len(segments) != 7 {
		return "foreign"
	}
	return segments[5]
}

func (f *fsck) show() {
	for _, line := range f.report.Ledger {
		f.printf("ledger   %s\n", printable(line))
	}
	for _, d := range f.report.Damaged {
		f.printf("damaged  %s of tenant %s: %s\n", d.ID, d.Tenant, d.Problem)
	}
	for _, o := range f.report.Orphans {
		f.printf("orphan   %s, %s: %s\n", printable(o.ID), bytesText(o.Size), o.Problem)
	}
	f.printf("%d objects of %s, %d audit leaves; %d contradictions, %d damaged, %d orphans\n", f.report.Objects,
		bytesText(f.report.Bytes), f.report.Leaves, len(f.report.Ledger), len(f.report.Damaged), len(f.report.Orphans))
	if left := f.report.Leftovers; left.Blobs > 0 {
		f.printf("%d leftovers of %s, which the server deletes when it runs\n", left.Blobs, bytesText(left.Bytes))
	}
}

// errUnsound keeps fsck from deleting by a ledger that cannot be believed.
var errUnsound = errors.New("nothing was deleted: the ledger contradicts itself or misses bytes, so what it does not know may be what it lost")

func (f *fsck) removeOrphans(ctx context.Context) error {
	if len(f.report.Ledger) > 0 || len(f.report.Damaged) > 0 {
		return errUnsound
	}
	for _, key := range f.orphans {
		if err := f.node.blobs.Delete(ctx, key); err != nil {
			return err
		}
		f.report.Deleted++
	}
	f.printf("%d orphans deleted\n", f.report.Deleted)
	return nil
}
