package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sallyport/cmd/sallyport/config"
	"sallyport/registry/blob"
	"sallyport/registry/blob/diskblob"
	"sallyport/registry/blob/s3blob"
)

// What a data directory holds.
const (
	lockFile            = "lock"                  // held while a server or fsck uses the directory
	ledgerFile          = "ledger.db"             // and its log, ledger.db.log.*
	blobDir             = "objects"               // the disk backend's
	spoolDir            = "spool"                 // forms on their way in; empty but for their moment
	rootKeyFile         = "root.key"              // seals the ledger's secrets, unless root.key_file is set
	rootCredentialsFile = "root-credentials.json" // the generated root key
	endpointsFile       = "endpoints.json"        // where the running server listens
)

// lockDataDir makes the directory if it is missing and takes it for this
// process. Closing the file gives it back; so does the end of the process.
func lockDataDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("data directory: %s is open to others (mode %04o): chmod 700 it, or name another with --data", dir, mode)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("%s is in use by another sallyport", dir)
		}
		return nil, errors.Join(fmt.Errorf("data directory: %w", err), f.Close())
	}
	return f, nil
}

// freeSpace returns how many bytes can still be written under dir.
func freeSpace(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// writeDurable makes a file of mode 0600 appear whole, or not at all, and last.
func writeDurable(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// endpoints is where a running server listens. Clients on this machine find it
// in the data directory, also when the ports were picked freely.
type endpoints struct {
	S3      string `json:"s3"`
	Control string `json:"control"`
	Ops     string `json:"ops"`
	PID     int    `json:"pid"`
}

func writeEndpoints(dir string, e endpoints) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return writeDurable(filepath.Join(dir, endpointsFile), append(data, '\n'))
}

func readEndpoints(dir string) (endpoints, error) {
	var e endpoints
	data, err := os.ReadFile(filepath.Join(dir, endpointsFile))
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(data, &e)
}

// blobStore is a store of bytes that is closed after its last use.
type blobStore interface {
	blob.Store
	io.Closer
}

// openBlobs opens the store that the configuration names.
func openBlobs(cfg config.Config) (blobStore, error) {
	if cfg.BackendKind == "s3" {
		return s3blob.New(s3blob.Config{
			Endpoint:  cfg.BackendS3Endpoint,
			Bucket:    cfg.BackendS3Bucket,
			Region:    cfg.BackendS3Region,
			AccessKey: cfg.BackendS3AccessKey,
			SecretKey: string(cfg.BackendS3SecretKey),
		})
	}
	return diskblob.Open(filepath.Join(cfg.DataDir, blobDir))
}
