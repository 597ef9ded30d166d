package clamd_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/scanner"
	"sallyport/scanner/clamd"
	"sallyport/scanner/clamd/clamdtest"
)

// value is a metric's, -1 if it is not there.
func value(t testing.TB, e *clamd.Engine, name string) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range e.Metrics() {
		registry.MustRegister(c)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if m := f.GetMetric()[0]; f.GetName() == name {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return -1
}

func TestDatabaseAge(t *testing.T) {
	daemon := clamdtest.Start(t)
	built := time.Now().Add(-10 * 24 * time.Hour).Truncate(time.Second)
	daemon.Sign(7, built)
	daemon.Reload(7)

	e := engine(t, daemon.Unix, func(c *clamd.Config) { c.MaxAge = 9 * 24 * time.Hour })
	if got := value(t, e, "clamd_database_age_seconds"); got != -1 {
		t.Errorf("an age of %v before clamd was asked", got)
	}
	if _, err := scan(t, e, clamdtest.EICAR()); !errors.Is(err, scanner.ErrDown) {
		t.Errorf("an old database: %v, want down", err)
	}
	v, err := e.Version(t.Context())
	if err != nil || v.Database != 7 || !v.Built.Equal(built) || !strings.HasPrefix(v.Engine, "ClamAV ") {
		t.Errorf("%+v, %v, want 7 of %s", v, err, built)
	}
	if got := value(t, e, "clamd_database_age_seconds"); got < 10*24*3600 || got > 10*24*3600+100 {
		t.Errorf("an age of %v", got)
	}

	daemon.Sign(8, time.Now())
	daemon.Reload(8)
	if _, err := e.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := infected
	want.Version = v.Engine + "/8"
	mustScan(t, e, clamdtest.EICAR(), want)

	lenient := engine(t, daemon.Unix, nil)
	mustScan(t, lenient, clamdtest.EICAR(), want)
}
