package clamd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sallyport/scanner"
)

// versionEvery is how often clamd is asked which database it has.
const versionEvery = 30 * time.Second

// errOld: the database is older than the configuration allows.
var errOld = errors.New("clamd: the signature database is too old")

// Version is what clamd says of itself.
type Version struct {
	Engine   string    // "ClamAV 1.4.6"
	Database int       // number of the daily database; 0 if it has none
	Built    time.Time // when that was made; zero if it has none
}

// String is as clamd says it, without the time: "ClamAV 1.4.6/27400".
func (v Version) String() string {
	if v.Database == 0 {
		return v.Engine
	}
	return v.Engine + "/" + strconv.Itoa(v.Database)
}

// told is a version and when it was heard.
type told struct {
	Version
	at time.Time
}

// known is the version that was heard last.
func (e *Engine) known() Version {
	if v := e.version.Load(); v != nil {
		return v.Version
	}
	return Version{}
}

// stale tells whether it is time to ask again. A clock that went back makes it so, too.
func (e *Engine) stale() bool {
	v := e.version.Load()
	return v == nil || e.cfg.Now().Sub(v.at).Abs() >= versionEvery
}

func (e *Engine) learn(answer string) error {
	v, err := parseVersion(answer)
	if err != nil {
		return err
	}
	e.version.Store(&told{v, e.cfg.Now()})
	return nil
}

// parseVersion reads "ClamAV 1.4.6/27400/Mon Nov 23 13:49:11 2026", of which the last two
// parts are absent without a daily database. The time is clamd's local one: it is taken for
// ours, so that an age is wrong by as much as those two differ.
func parseVersion(answer string) (Version, error) {
	engine, database, dated := strings.Cut(answer, "/")
	if !strings.HasPrefix(engine, "ClamAV ") {
		return Version{}, fmt.Errorf("%w: %.80q", errGarbage, answer)
	}
	v := Version{Engine: printable(engine)}
	if !dated {
		return v, nil
	}
	number, date, _ := strings.Cut(database, "/")
	var err error
	if v.Database, err = strconv.Atoi(number); err != nil {
		return Version{}, fmt.Errorf("%w: %.80q", errGarbage, answer)
	}
	if v.Built, err = time.ParseInLocation(time.ANSIC, strings.TrimSpace(date), time.Local); err != nil {
		return Version{}, fmt.Errorf("%w: %.80q", errGarbage, answer)
	}
	return v, nil
}

// Version asks clamd for its version. An error wraps scanner.ErrDown, unless ctx
// ended.
func (e *Engine) Version(ctx context.Context) (Version, error) {
	if err := e.aside(ctx, (*session).identify); err != nil {
		return Version{}, err
	}
	return e.known(), nil
}

// Age is how old the database is that clamd had when it was asked last; ok is false if
// that is not known.
func (e *Engine) Age() (age time.Duration, ok bool) {
	v := e.known()
	if v.Built.IsZero() {
		return 0, false
	}
	return e.cfg.Now().Sub(v.Built), true
}

// fit returns an error if the database is too old to publish by.
func (e *Engine) fit() error {
	if e.cfg.MaxAge == 0 {
		return nil
	}
	age, ok := e.Age()
	switch {
	case !ok:
		return fmt.Errorf("%w: %w: its age is not known", scanner.ErrDown, errOld)
	case age > e.cfg.MaxAge:
		return fmt.Errorf("%w: %w: %s, more than %s", scanner.ErrDown, errOld, age.Round(time.Minute), e.cfg.MaxAge)
	}
	return nil
}
