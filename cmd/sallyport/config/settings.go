package config

import (
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// envPrefix begins the name of every environment variable that is ours.
const envPrefix = "SALLYPORT_"

// Setting describes one field of Config to whoever documents it or makes flags.
type Setting struct {
	Key     string // in the YAML file, "s3.addr"
	Env     string // in the environment, "SALLYPORT_S3_ADDR"
	Flag    string // on the command line, "s3-addr"; "" when it has none
	Kind    string // "string", "list", "duration", "size", "number", "bool", "level", "secret"
	Default string // as it would be written; "" for none
	Help    string // the field's comment, one line

	index int // of the field in Config
}

// Settings lists every setting in the order of Config.
func Settings() []Setting {
	defaults := reflect.ValueOf(Default())
	all := make([]Setting, 0, defaults.NumField())
	for i := range defaults.NumField() {
		field := defaults.Type().Field(i)
		key := field.Tag.Get("key")
		s := Setting{
			Key:     key,
			Env:     envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_")),
			Flag:    strings.NewReplacer(".", "-", "_", "-").Replace(key),
			Kind:    kind(field.Type),
			Default: text(defaults.Field(i)),
			Help:    help[key],
			index:   i,
		}
		if name := field.Tag.Get("flag"); name != "" {
			s.Flag = strings.TrimPrefix(name, "-")
		}
		if s.Kind == "secret" {
			s.Flag, s.Default = "", ""
		}
		all = append(all, s)
	}
	return all
}

func kind(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Secret]():
		return "secret"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[[]string]():
		return "list"
	case reflect.TypeFor[bool]():
		return "bool"
	case reflect.TypeFor[slog.Level]():
		return "level"
	case reflect.TypeFor[int]():
		return "number"
	default:
		return "string"
	}
}

// text writes a value the way parse reads it.
func text(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case []string:
		return strings.Join(x, ",")
	case time.Duration:
		return shortDuration(x)
	case slog.Level:
		return strings.ToLower(x.String())
	default:
		return fmt.Sprint(x)
	}
}

// shortDuration leaves out the zero units that Duration.String ends in.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parse sets v from what a file, the environment or a flag says. Its errors
// say what was expected and never repeat a secret.
func parse(v reflect.Value, s string) error {
	s = strings.TrimSpace(s)
	switch x := v.Addr().Interface().(type) {
	case *Secret:
		*x = Secret(s)
	case *string:
		*x = s
	case *[]string:
		*x = splitList(s)
	case *bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		*x = b
	case *int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		*x = n
	case *time.Duration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a duration like 90s, 15m or 2h", s)
		}
		*x = d
	case *slog.Level:
		if err := x.UnmarshalText([]byte(s)); err != nil {
			return fmt.Errorf("%q is not one of debug, info, warn, error", s)
		}
	case *Size:
		return x.UnmarshalText([]byte(s))
	default:
		return fmt.Errorf("no parser for a %s", v.Type())
	}
	return nil
}

// splitList reads a comma list; empty elements vanish.
func splitList(s string) []string {
	var list []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}
