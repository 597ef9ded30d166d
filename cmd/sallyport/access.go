package main

import (
	"context"
	"log/slog"
	"net/netip"

	"sallyport/registry"
	"sallyport/server"
)

// accessRecorder makes an access record of each exchange. A full buffer makes
// its connection wait: no request goes unrecorded because there are many.
func accessRecorder(ledger *registry.Ledger, log *slog.Logger) func(*server.Exchange) {
	return func(e *server.Exchange) {
		remote, _ := netip.ParseAddr(e.RemoteIP) // none: the zero Addr, which is left out
		err := ledger.Access(context.Background(), registry.AccessRecord{
			Time:       e.Start,
			RequestID:  e.RequestID,
			Tenant:     registry.TenantName(e.Tenant),
			Principal:  registry.PrincipalName(e.Principal),
			Credential: e.AccessKey,
			Op:         e.Op,
			Bucket:     registry.BucketName(e.Bucket),
			Key:        e.Key,
			Upload:     registry.UploadID(e.Upload),
			Object:     registry.ObjectID(e.Object),
			Grant:      registry.GrantID(e.Grant),
			Status:     e.Status,
			Reason:     e.Reason,
			BytesIn:    e.BytesIn,
			BytesOut:   e.BytesOut,
			Duration:   e.Duration,
			Remote:     remote,
			Countable:  e.Countable,
		})
		if err != nil {
			log.Error("access record was not kept", "request", e.RequestID, "err", err)
		}
	}
}
