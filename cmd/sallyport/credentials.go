package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"

	"sallyport/cmd/sallyport/config"
	"sallyport/registry"
)

// rootCredentials is the file of generated credentials.
type rootCredentials struct {
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

// bootstrap makes sure that the root key exists and is the configured one. It
// returns the generated credentials, nil when there are none to show: they were
// preset, or their file was taken away, as it may be after the first start.
func bootstrap(ctx context.Context, cfg config.Config, ledger *registry.Ledger) (*rootCredentials, error) {
	if cfg.RootAccessKey != "" {
		err := ledger.Bootstrap(ctx, registry.RootCredentials{
			AccessKey: registry.AccessKeyID(cfg.RootAccessKey), SecretKey: registry.Secret(cfg.RootSecretKey),
		})
		if errors.Is(err, registry.ErrRootMismatch) {
			return nil, fmt.Errorf("SALLYPORT_ROOT_ACCESS_KEY and SALLYPORT_ROOT_SECRET_KEY are not those of the first start in %s: "+
				"set the same again or leave them out; they do not change the key (%w)", cfg.DataDir, err)
		}
		return nil, err
	}
	path := filepath.Join(cfg.DataDir, rootCredentialsFile)
	credentials, err := readRootCredentials(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := ledger.Tenant(ctx, registry.DefaultTenant); !errors.Is(err, registry.ErrNotFound) {
			return nil, err // not the first start
		}
		credentials, err = generateRootCredentials(path)
	}
	if err != nil {
		return nil, fmt.Errorf("root credentials: %w", err)
	}
	// If we die here, the next start finds the file and goes on.
	err = ledger.Bootstrap(ctx, registry.RootCredentials{
		AccessKey: registry.AccessKeyID(credentials.AccessKey), SecretKey: registry.Secret(credentials.SecretKey),
	})
	if errors.Is(err, registry.ErrRootMismatch) {
		return nil, fmt.Errorf("%s does not hold the root key of the first start: put the right file back or take it away (%w)", path, err)
	}
	return &credentials, err
}

func readRootCredentials(path string) (rootCredentials, error) {
	var c rootCredentials
	data, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// generateRootCredentials writes the file before anything is made with what it
// holds: a key that nobody knows would lock everybody out.
func generateRootCredentials(path string) (rootCredentials, error) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	id := []byte("SP")
	for range 18 {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			return rootCredentials{}, err
		}
		id = append(id, letters[n.Int64()])
	}
	var secret [30]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return rootCredentials{}, err
	}
	c := rootCredentials{AccessKey: string(id), SecretKey: base64.RawURLEncoding.EncodeToString(secret[:])}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return c, err
	}
	return c, writeDurable(path, append(data, '\n'))
}

// rootKey returns the key that seals the ledger. It is made on the first start
// only: a new key for an old ledger would open none of its secrets, and a file
// that was configured but is missing is a mistake to report.
func rootKey(cfg config.Config) ([32]byte, error) {
	path := cfg.RootKeyFile
	if path == "" {
		path = filepath.Join(cfg.DataDir, rootKeyFile)
		_, err := os.Stat(filepath.Join(cfg.DataDir, ledgerFile))
		if errors.Is(err, fs.ErrNotExist) {
			return registry.LoadOrCreateRootKey(path)
		}
		if err != nil {
			return [32]byte{}, err
		}
	}
	if _, err := os.Stat(path); err != nil {
		return [32]byte{}, fmt.Errorf("root key, which the ledger's secrets are sealed with: %w", err)
	}
	return registry.LoadOrCreateRootKey(path)
}
